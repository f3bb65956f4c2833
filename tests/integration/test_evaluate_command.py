"""`radbridge evaluate`: figures from real files, and bad files told by name and line."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from radbridge.cli import evaluate as module
from radbridge.cli.app import app
from radbridge.contract import RESPONSE, DraftResponse
from radbridge.draft import Stage
from radbridge.evaluation import run as runner
from radbridge_training.synth import generate_reports
from tests.support.http_peer import Asked, answer, run_peer

COUNT = 60


def signed_rows(seed: int, count: int) -> list[dict[str, Any]]:
    """Generated reports as references."""
    return [
        {
            "id": f"s{seed}-{number}",
            "findings": report.findings,
            "impression": report.impressions["elaborate"],
            "indication": report.indication,
            "modality": ("CT", "MR")[number % 2],
            "sex": "F" if number % 3 else "M",
            "age": 20 + number,
            "radiologist": f"reader {number % 2}",
        }
        for number, report in enumerate(generate_reports(seed, count))
    ]


@pytest.fixture(scope="module")
def signed() -> list[dict[str, Any]]:
    return signed_rows(1, COUNT)


def write(file: Path, rows: Iterable[Mapping[str, Any] | bytes]) -> Path:
    file.write_bytes(b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows))
    return file


def drafts_of(rows: Iterable[Mapping[str, Any]], key: str = "impression", **more: Any) -> list[dict[str, Any]]:
    return [{"id": row["id"], "draft": row[key], "stage": "fine", **more} for row in rows]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", "--draws", "100", "--jobs", "1", *map(str, words)])


def test_figures_of_systems_and_baselines(tmp_path: Path, signed: list[dict[str, Any]]) -> None:
    """Two systems and the four baselines come side by side: a table, one page, and the JSON with every figure."""
    references = write(tmp_path / "signed.jsonl", signed)
    good = write(tmp_path / "good.jsonl", drafts_of(signed[::-1], ms=12.5, examples=["m1"]))
    empty = write(tmp_path / "empty.jsonl", [{"id": row["id"], "error": "no draft within 8 s"} for row in signed])
    train = write(tmp_path / "train.jsonl", signed_rows(2, 40))
    out = tmp_path / "page.html"
    result = run(
        "--drafts", good, "--drafts", f"none={empty}", "--references", references, "--train", train, "--out", out
    )
    assert result.exit_code == 0, result.output
    assert "good beats every retrieval baseline in ROUGE-1, ROUGE-2, ROUGE-L, Label F1" in result.stdout
    assert "none doesn't beat" in result.stdout
    assert f"none: {COUNT} without a draft" in result.stderr
    found = json.loads((tmp_path / "page.json").read_bytes())
    systems = {system["name"]: system for system in found["systems"]}
    assert list(systems) == ["good", "none", "majority", "nearest", "medoid10", "whole_findings"]
    assert systems["good"]["figures"]["rougeL"]["value"] == pytest.approx(1.0)
    assert systems["none"]["figures"]["rougeL"]["value"] == 0.0
    assert (systems["none"]["failed"], systems["good"]["with_examples"]) == (COUNT, COUNT)
    assert systems["good"]["ms"]["p50"] == 12.5
    assert 0 < systems["nearest"]["figures"]["label_f1"]["value"] < 1
    assert {row["group"] for row in systems["good"]["subgroups"]} == {"modality", "sex", "age_band", "radiologist"}
    assert found["references"]["rows"] == COUNT
    beside = {(note["system"], note["other"], note["figure"]) for note in found["comparisons"]}
    assert ("good", "none", "edit_distance") in beside
    page = out.read_text()
    for text in (signed[0]["impression"], signed[0]["id"]):
        assert text not in page
        assert text not in json.dumps(found)


def test_who_is_served_worse_is_called_out(tmp_path: Path, signed: list[dict[str, Any]]) -> None:
    """A system that writes nothing for one modality is told so, with how far that one is from the others."""
    references = write(tmp_path / "signed.jsonl", signed)
    drafts = [row | {"draft": ""} if n % 2 else row for n, row in enumerate(drafts_of(signed))]
    out = tmp_path / "page.html"
    result = run("--drafts", write(tmp_path / "drafts.jsonl", drafts), "--references", references, "--out", out)
    assert result.exit_code == 0, result.output
    assert "drafts: ROUGE-L for modality CT (30 reports) is 100.0 points above the others" in result.stdout
    assert "ROUGE-L for modality CT" in out.read_text()


def test_equal_files_give_equal_bytes(tmp_path: Path, signed: list[dict[str, Any]]) -> None:
    """Everything that is written depends on the files and the seed alone, however many processes count."""
    references = write(tmp_path / "signed.jsonl", signed)
    drafts = write(tmp_path / "drafts.jsonl", drafts_of(signed, "findings"))
    with pytest.MonkeyPatch.context() as patch:
        for name, few in (("one", runner.FEW), ("two", 1)):
            patch.setattr(runner, "FEW", few)
            result = run(
                "--drafts", drafts, "--references", references, "--out", tmp_path / f"{name}.html", "--jobs", "2"
            )
            assert result.exit_code == 0, result.output
    for suffix in ("html", "json"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


BAD = {
    "not JSON": (b"secret", "isn't JSON"),
    "Latin-1": ('{"id": "s1-0", "draft": "é secret"}'.encode("latin-1"), "byte 0xE9 at 26 isn't UTF-8"),
    "no id": (b'{"draft": "secret"}', "id is missing or empty"),
    "a number for text": (b'{"id": "s1-0", "draft": 3}', "draft: Input should be a valid string"),
    "twice": (b'{"id": "s1-1", "draft": "secret"}', "the same id as in line 2"),
    "a stranger": (b'{"id": "secret", "draft": "secret"}', "has its id"),
    "too long": (b'{"id": "s1-0", "draft": "' + b"secret " * (3 << 20) + b'"}', "longer than 16 MiB"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_draft_is_told_by_file_and_line(tmp_path: Path, signed: list[dict[str, Any]], kind: str) -> None:
    """A faulty row of the drafts ends the command with status 2 before anything is counted; its text isn't told."""
    bad, problem = BAD[kind]
    references = write(tmp_path / "signed.jsonl", signed)
    drafts = write(tmp_path / "drafts.jsonl", [*drafts_of(signed), bad])
    out = tmp_path / "page.html"
    result = run("--drafts", drafts, "--references", references, "--out", out)
    assert result.exit_code == 2
    assert f"{drafts}, line {COUNT + 1}: " in result.stderr
    assert problem in result.stderr
    assert "secret" not in result.output
    assert not out.exists()


def test_a_bad_reference_and_another_length(tmp_path: Path, signed: list[dict[str, Any]]) -> None:
    """Missing sections, repeats and a file of another length are told together, each with file and line."""
    rows = [signed[0], signed[1] | {"findings": ""}, signed[2], signed[2], *signed[3:]]
    references = write(tmp_path / "signed.jsonl", rows)
    drafts = write(tmp_path / "drafts.jsonl", drafts_of(signed[:-1]))
    result = run("--drafts", drafts, "--references", references, "--out", tmp_path / "page.html")
    assert result.exit_code == 2
    told = result.stderr.splitlines()
    sizes = f"{references} has {COUNT - 1} good rows, {drafts} {COUNT - 1}"
    assert told == [
        f"config: {references}, line 2: findings is missing or empty",
        f"config: {references}, line 4: the same id as in line 3",
        f"config: {drafts}, line 2: no row of {references} has its id",
        f"config: {references}, line {COUNT + 1}: {drafts} has no draft for it ({sizes})",
    ]


def test_bad_rows_can_be_left_out(tmp_path: Path, signed: list[dict[str, Any]]) -> None:
    """With `--skip-bad` the good rows are counted and the bad ones told, with status 0."""
    references = write(tmp_path / "signed.jsonl", signed)
    drafts = write(tmp_path / "drafts.jsonl", [b"secret", *drafts_of(signed[2:]), b"{}"])
    out = tmp_path / "page.html"
    result = run("--drafts", drafts, "--references", references, "--out", out, "--skip-bad")
    assert result.exit_code == 0, result.output
    assert "4 faulty rows left out" in result.stderr
    assert f"{drafts}, line 1: isn't JSON" in result.stderr
    found = json.loads((tmp_path / "page.json").read_bytes())
    assert (found["reports"], found["skipped"]) == (COUNT - 2, 4)


def test_what_is_wrong_with_the_call(tmp_path: Path, signed: list[dict[str, Any]]) -> None:
    """A call that can't work says how it would: status 2, and no file is written over."""
    references = write(tmp_path / "signed.jsonl", signed)
    drafts = write(tmp_path / "drafts.jsonl", drafts_of(signed))
    out = tmp_path / "page.html"
    files = ("--references", references, "--drafts", drafts)
    cases: dict[str, tuple[object, ...]] = {
        "drafts.jsonl is one of the files to read": (*files, "--out", drafts),
        "is where the JSON goes": (*files, "--out", tmp_path / "page.json"),
        "there is no folder": (*files, "--out", tmp_path / "absent" / "page.html"),
        "two are called drafts": (*files, "--drafts", drafts, "--out", out),
        "write FILE or NAME=FILE": (*files, "--drafts", "=", "--out", out),
        "absent.jsonl: No such file": ("--references", references, "--drafts", tmp_path / "absent.jsonl", "--out", out),
        "--cost x=...: no --drafts has this name": (*files, "--cost", f"x={drafts}", "--out", out),
        "there is no such measure": (*files, "--measure", f"sorcery={tmp_path}", "--out", out),
        "a baseline has this name": (
            *("--references", references, "--drafts", f"majority={drafts}", "--train", references, "--out", out),
        ),
        "no report that every system has a draft for": (
            *("--skip-bad", "--references", references, "--drafts", write(tmp_path / "none.jsonl", []), "--out", out),
        ),
    }
    for problem, words in cases.items():
        result = run(*words)
        assert result.exit_code == 2, (problem, result.output)
        assert problem in result.stderr
    assert not out.exists()
    assert len(drafts.read_bytes().splitlines()) == COUNT


def test_without_its_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a library is missing, the command says which, and how to get it."""
    monkeypatch.setattr(module, "_NEEDS", ("numpy", "no_such_library"))
    result = run("--drafts", "x.jsonl", "--references", "y.jsonl", "--out", tmp_path / "page.html")
    assert result.exit_code == 2
    assert "no_such_library is missing): pip install 'radbridge[evaluate]'" in result.stderr


def test_the_command_line_answers_without_its_libraries() -> None:
    """Importing the command line loads neither NumPy nor ROUGE nor BLEU: every other command starts as fast as ever."""
    code = "import sys, radbridge.cli.app; print({'numpy', 'rouge_score', 'sacrebleu', 'nltk'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert told.stdout.strip() == "set()"


async def answer_each(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """A draft for whatever is asked."""
    response = DraftResponse(
        id=asked.body["id"],
        draft="No acute abnormality.",
        lora="base",
        model="m",
        base_digest="b",
        prompt_version="p1",
        stage=Stage.FINE,
        ms=1.0,
    )
    await answer(200, RESPONSE.dump_python(response, mode="json"))(asked, writer)


async def test_what_drafts_cost_goes_into_the_page(
    tmp_path: Path, signed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`radbridge draft --cost` writes what `radbridge evaluate --cost` takes; beside a remote server that is time."""
    monkeypatch.setattr("radbridge_adapters.model.client._CONNECT_S", 600.0)
    references = write(tmp_path / "signed.jsonl", signed[:3])
    drafts, cost = tmp_path / "drafts.jsonl", tmp_path / "cost.json"
    given = ("draft", "--in", references, "--out", drafts, "--cost", cost)
    async with run_peer({"/v1/drafts": answer_each}) as peer:
        words = [*map(str, given), "--model", peer.url]
        drafted = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert drafted.exit_code == 0, drafted.output
    out = tmp_path / "page.html"
    result = run("--drafts", drafts, "--references", references, "--cost", f"drafts={cost}", "--out", out)
    assert result.exit_code == 0, result.output
    [system] = json.loads((tmp_path / "page.json").read_bytes())["systems"]
    assert system["cost"]["drafts"] == 3
    assert system["cost"]["wall_s"] > 0
    assert system["cost"]["joules"] is None
    assert "cost" in out.read_text()
