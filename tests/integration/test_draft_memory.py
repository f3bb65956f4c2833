"""`radbridge draft` with a file of signed reports, and with files that are longer than what it holds at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from radbridge.cli import draft as module
from radbridge.cli.app import app
from radbridge.cli.rows import Line, Lines
from radbridge.contract import RESPONSE, DraftResponse
from radbridge.draft import Stage
from tests.support.http_peer import Asked, Reply, answer, run_peer

SIGNED = (
    {"id": "p1", "radiologist": "1001", "findings": "Small left pleural effusion.", "impression": "Effusion."},
    {"id": "p2", "radiologist": "1001", "findings": "Radius fracture.", "impression": "Fracture. Dr. Read was told."},
    {"id": "p3", "radiologist": "1002", "findings": "Small left pleural effusion.", "impression": "Elsewhere."},
    {"id": "p4", "findings": "Clear lungs.", "impression": "Nobody's."},
)


def write(file: Path, *rows: dict[str, Any]) -> Path:
    """The rows as JSON lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


async def reply(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """A model server that uses every example that it gets."""
    names = tuple(example["id"] for example in asked.body["examples"])
    response = DraftResponse(
        id=asked.body["id"],
        draft="Effusion.",
        lora="base",
        model="m",
        base_digest="b",
        prompt_version="p2",
        stage=Stage.FINE,
        ms=1.0,
        strategy="single",
        coarse_lora="none",
        examples=names,
    )
    await answer(200, RESPONSE.dump_python(response, mode="json"))(asked, writer)


async def run(
    folder: Path, *more: object, rows: tuple[dict[str, Any], ...], server: Reply = reply
) -> tuple[Result, list[Any]]:
    """The command's result, and the requests that came in the order of their ids."""
    write(folder / "in.jsonl", *rows)
    async with run_peer({"/v1/drafts": server}) as peer:
        words = ["--in", folder / "in.jsonl", "--out", folder / "out.jsonl", "--model", peer.url, *more]
        result = await asyncio.to_thread(CliRunner().invoke, app, ["draft", *map(str, words)])
    return result, sorted((asked.body for asked in peer.asked), key=lambda body: body["id"])


def read(file: Path) -> list[Any]:
    """The rows of a file."""
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_beside_what_its_radiologist_signed(tmp_path: Path) -> None:
    """A case is sent with its radiologist's own reports, de-identified, and its row says which were used."""
    memory = write(tmp_path / "signed.jsonl", *SIGNED)
    case = {"id": "a", "findings": "Fracture of the radius.", "radiologist": "1001"}
    result, (asked,) = await run(tmp_path, "--memory", memory, rows=(case,))
    assert result.exit_code == 0, result.output
    assert [e["impression"] for e in asked["examples"]] == ["Fracture.", "Effusion."]
    (row,) = read(tmp_path / "out.jsonl")
    assert (asked["memory"], row["examples"]) == ("m1/4", ["m2", "m1"])
    assert (row["strategy"], row["coarse_lora"], row["prompt_version"]) == ("single", "none", "p2")


async def test_never_beside_its_own_report(tmp_path: Path) -> None:
    """The signed report of the very case is no example for it, so that a file may be drafted beside itself."""
    memory = write(tmp_path / "signed.jsonl", *SIGNED)
    result, asked = await run(tmp_path, "--memory", memory, rows=SIGNED)
    sent = {body["id"]: [e["id"] for e in body["examples"]] for body in asked}
    assert sent == {"p1": ["m2"], "p2": ["m1"], "p3": [], "p4": []}
    assert "2 without an example" in result.stderr


def test_the_same_in_every_run(tmp_path: Path) -> None:
    """Two processes show the same file's reports alike."""
    report = {"findings": "Nodule. Seen 3/1/2024.", "impression": "Nodule. Stable since 3/1/2024."}
    memory = write(tmp_path / "signed.jsonl", report)
    code = (
        "import sys; from pathlib import Path; from radbridge.memory.batch import FileMemory\n"
        "[e] = FileMemory(Path(sys.argv[1])).examples(id='', radiologist='', findings='nodule', alike=1, newest=0)\n"
        "print(e.impression, e.findings)"
    )
    said = {subprocess.run([sys.executable, "-c", code, memory], capture_output=True, check=True).stdout for _ in "12"}
    assert len(said) == 1
    assert b"3/1/2024" not in next(iter(said))


async def test_examples_of_its_own(tmp_path: Path) -> None:
    """A row that brings examples keeps them; `--task` goes to every row."""
    memory = write(tmp_path / "signed.jsonl", *SIGNED)
    own = {"id": "a", "findings": "Nodule.", "radiologist": "1001", "examples": [{"id": "x", "impression": "Own."}]}
    _, (asked,) = await run(tmp_path, "--memory", memory, "--task", "expand", rows=(own,))
    assert ([e["id"] for e in asked["examples"]], asked["task"]) == (["x"], "expand")


async def test_a_bad_memory_names_its_lines(tmp_path: Path) -> None:
    """Signed reports that can't be read end the command with their lines and none of their words."""
    bad = write(tmp_path / "signed.jsonl", SIGNED[0], {"findings": "secret words"}, {"findings": " ", "impression": ""})
    result, asked = await run(tmp_path, "--memory", bad, rows=({"id": "a", "findings": "Nodule."},))
    assert (result.exit_code, asked) == (2, [])
    assert "line 2: impression is missing or empty" in " ".join(result.stderr.split())
    assert "line 3" in result.stderr
    assert "secret" not in result.stderr
    assert not (tmp_path / "out.jsonl").exists()


async def test_a_long_file_is_never_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are read as their drafts are written, a window ahead, and the rows come in the order of the lines."""
    taken: list[int] = []
    held: list[int] = []

    class Counted(Lines):
        def __iter__(self) -> Iterator[Line]:
            for line in super().__iter__():
                taken.append(line.number)
                yield line

    async def count(asked: Asked, writer: asyncio.StreamWriter) -> None:
        held.append(len(taken) - len(rows) - len(held))  # all are counted once before the first is drafted
        await reply(asked, writer)

    monkeypatch.setattr(module, "Lines", Counted)
    monkeypatch.setenv("RADBRIDGE_MODEL__CONCURRENCY", "2")
    rows = tuple({"id": f"{n:03}", "findings": "Nodule."} for n in range(60))
    result, _ = await run(tmp_path, rows=rows, server=count)
    assert result.exit_code == 0, result.output
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == [row["id"] for row in rows]
    assert 2 <= max(held) <= module.AHEAD * 2


async def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is longer than any report becomes a row with an error, and the others go on."""
    monkeypatch.setattr("radbridge.jsonl.MAX_LINE", 64)
    long = ({"id": "b", "findings": "x" * 200},) * 30
    rows = ({"id": "a", "findings": "Nodule."}, *long, {"id": "c", "findings": "Cyst."})
    result, asked = await run(tmp_path, rows=rows)
    assert result.exit_code == 1
    assert [body["id"] for body in asked] == ["a", "c"]
    lines = [row.get("line") for row in read(tmp_path / "out.jsonl")]
    assert lines == [None, *range(2, 32), None]
