"""`radbridge guard`: an audit of many reports, on real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from radbridge.cli import guard as module
from radbridge.cli.app import app
from radbridge.draft import FlagKind, Section

FINDINGS = "There is a 6 mm nodule in the right upper lobe. No pneumothorax."
WRONG = {"id": "w", "findings": FINDINGS, "impression": "6 mm nodule in the left upper lobe.", "sex": "F", "age": 56}
RIGHT = {"id": "r", "findings": FINDINGS, "impression": "6 mm nodule in the right upper lobe.", "comparison": None}


def write(file: Path, *rows: object) -> Path:
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["guard", *map(str, words)])


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_row_for_each_report(tmp_path: Path) -> None:
    """Each report gets a row with its flags and what the policy would do; the summary counts them."""
    out = tmp_path / "flags.jsonl"
    result = run(
        "--in", write(tmp_path / "in.jsonl", WRONG, RIGHT, RIGHT | {"id": 7}, RIGHT | {"id": None}), "--out", out
    )
    assert result.exit_code == 0, result.output
    wrong, *right = read(out)
    assert (wrong["id"], wrong["blocked"]) == ("w", True)
    [flag] = [f for f in wrong["flags"] if f["kind"] == "laterality"]
    assert (flag["severity"], flag["action"], set(flag)) == (
        "critical",
        "block",
        {"kind", "severity", "message", "spans", "action"},
    )
    for span in flag["spans"]:
        assert span["section"] in set(Section)
        assert 0 <= span["start"] < span["end"]
    assert [(row["id"], row["blocked"], row["flags"]) for row in right] == [
        ("r", False, []),
        ("7", False, []),
        ("4", False, []),
    ]
    assert "4 reports checked: 1 with a flag (25.0 %), 1 would be blocked (25.0 %)" in result.stderr
    [row] = [line for line in result.stderr.splitlines() if "laterality" in line]
    assert row.replace("│", " ").split() == ["laterality", "critical", "block", "1", "1", "25.0"]


def test_the_sites_policy_counts(tmp_path: Path) -> None:
    """What a site ignores is still reported, as ignored, and blocks nothing."""
    config, out = tmp_path / "site.toml", tmp_path / "flags.jsonl"
    config.write_text("[guard.policy]\n" + "".join(f'{kind} = "ignore"\n' for kind in FlagKind))
    result = run("--in", write(tmp_path / "in.jsonl", WRONG), "--out", out, "--config", config)
    assert result.exit_code == 0
    [row] = read(out)
    assert not row["blocked"]
    assert {f["action"] for f in row["flags"]} == {"ignore"}
    assert "0 with a flag" in result.stderr


def test_a_bad_line_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    """A line that can't be read becomes a row with its number and an error without its text, and the status is 1."""
    lines = ("", "{bad", {"id": "x", "findings": "secret words"}, [1], RIGHT | {"age": "old secret"}, RIGHT)
    file = write(tmp_path / "in.jsonl", *lines)
    file.write_bytes(file.read_bytes() + b"\xff\xfe\n")
    out = tmp_path / "flags.jsonl"
    result = run("--in", file, "--out", out)
    assert result.exit_code == 1
    rows = read(out)
    assert [row.get("line") for row in rows] == [2, 3, 4, 5, None, 7]
    assert [row["id"] for row in rows] == ["", "x", "", "r", "r", ""]
    assert "impression" in rows[1]["error"]
    assert "secret" not in out.read_text()
    assert "5 not checked" in result.stderr


def test_to_standard_output(tmp_path: Path) -> None:
    """`--out -` writes the rows to standard output and nothing else."""
    result = run("--in", write(tmp_path / "in.jsonl", WRONG, RIGHT), "--out", "-")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["w", "r"]
    assert "2 reports checked" in result.stderr


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    """An output that is the input, under whatever name, is refused and the file stays."""
    file = write(tmp_path / "in.jsonl", WRONG)
    before = file.read_bytes()
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "hard").hardlink_to(file)
    for name in ("in.jsonl", "link", "hard"):
        result = run("--in", file, "--out", tmp_path / name)
        assert result.exit_code == 2
        assert "--in" in result.stderr
    assert file.read_bytes() == before


@pytest.mark.parametrize(("source", "target"), [("none.jsonl", "out.jsonl"), ("in.jsonl", "none/out.jsonl")])
def test_files_that_cant_be_used(tmp_path: Path, source: str, target: str) -> None:
    """A file that isn't there and a folder that isn't there are named."""
    write(tmp_path / "in.jsonl", WRONG)
    result = run("--in", tmp_path / source, "--out", tmp_path / target)
    assert result.exit_code == 2
    assert "none" in result.stderr


def test_several_processes_keep_the_order(tmp_path: Path) -> None:
    """Rows come out in the order of the lines, and the same as from one process."""
    rows = [(WRONG if n % 3 == 0 else RIGHT) | {"id": str(n)} for n in range(module.FEW + 50)]
    file = write(tmp_path / "in.jsonl", *rows)
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    assert run("--in", file, "--out", one, "--jobs", 1).exit_code == 0
    assert run("--in", file, "--out", two, "--jobs", 2).exit_code == 0
    assert [row["id"] for row in read(two)] == [row["id"] for row in rows]
    assert one.read_bytes() == two.read_bytes()


def test_a_long_audit_shows_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar is shown once the audit takes its time, and none before that."""
    file = write(tmp_path / "in.jsonl", WRONG, RIGHT, RIGHT)
    monkeypatch.setattr(module, "BAR_AFTER_S", 600.0)
    assert "3/3" not in run("--in", file, "--out", tmp_path / "out").stderr
    monkeypatch.setattr(module, "BAR_AFTER_S", 0.0)
    assert "3/3" in run("--in", file, "--out", tmp_path / "out").stderr


def test_an_empty_file(tmp_path: Path) -> None:
    """No report is no error."""
    result = run("--in", write(tmp_path / "in.jsonl"), "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "0 reports checked" in result.stderr
