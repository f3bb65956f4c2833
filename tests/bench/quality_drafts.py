"""Drafts of a set of reports by a model server of given settings, and their evaluation: by the shipped commands."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radbridge.evaluation.report import Evaluation
from radbridge.evaluation.run import Evaluator, Plan

Row = dict[str, Any]
_STOP_S = 30.0
_LAST_LINES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """A model server's settings, and what it is shown."""

    name: str
    settings: Mapping[str, Any]
    memory: Path | None = None
    without: tuple[str, ...] = ()
    """Keys of a case that the server isn't told."""


def choose_model(folder: Path | None) -> dict[str, str]:
    """Settings for the base and the persona LoRAs in a folder, as training writes them; the packaged ones without."""
    if folder is None:
        return {}
    found = {"base": str(folder.resolve() / "base")}
    loras = folder.resolve() / "loras"
    return found | ({"persona_loras": str(loras), "site_lora": "persona/succinct"} if loras.is_dir() else {})


def read_rows(file: Path) -> list[Row]:
    """The JSON lines of a file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def write_rows(file: Path, rows: Iterable[Row]) -> Path:
    """JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@contextmanager
def serve(settings: Mapping[str, Any]) -> Iterator[str]:
    """A model server of its own; its URL."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "model.json"
        config.write_text(json.dumps(dict(settings)), encoding="utf-8")
        log = Path(folder) / "model.log"
        with log.open("w", encoding="utf-8") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "radbridge_model_server", "--listen", "127.0.0.1:0", "--config", str(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        try:
            yield _read_url(process, log)
        finally:
            process.terminate()
            process.wait(_STOP_S)


def _read_url(process: subprocess.Popen[str], log: Path) -> str:
    for line in process.stdout or ():
        if line.startswith("{") and (url := json.loads(line).get("url")):
            return str(url)
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
    raise SystemExit("\n".join(("the model server didn't start:", *said)))


def draft(references: Path, systems: Sequence[System], folder: Path) -> dict[str, Path]:
    """The drafts of each system, by its name. Systems of the same settings share a server."""
    found: dict[str, Path] = {}
    done: set[str] = set()
    for first in systems:
        if first.name in done:
            continue
        alike = [system for system in systems if dict(system.settings) == dict(first.settings)]
        done |= {system.name for system in alike}
        with serve(first.settings) as url:
            for system in alike:
                found[system.name] = _draft(references, system, url, folder)
    return {system.name: found[system.name] for system in systems}


def _draft(references: Path, system: System, url: str, folder: Path) -> Path:
    out = folder / f"{references.stem}-{system.name}.jsonl"
    told = ({key: value for key, value in row.items() if key not in system.without} for row in read_rows(references))
    cases = write_rows(folder / "cases.jsonl", told)
    command = [sys.executable, "-m", "radbridge", "draft", "--in", str(cases), "--out", str(out), "--model", url]
    memory = ["--memory", str(system.memory)] if system.memory else []
    status = subprocess.run([*command, *memory], check=False).returncode
    if status not in (0, 1):  # 1: some rows have no draft, which the evaluation counts
        raise SystemExit(f"radbridge draft ended with status {status}")
    return out


def copy_findings(references: Path, folder: Path) -> Path:
    """The findings as drafts: what any draft has to be better than."""
    rows = [{"id": row["id"], "draft": row["findings"]} for row in read_rows(references)]
    return write_rows(folder / f"{references.stem}-whole-findings.jsonl", rows)


def evaluate(drafts: Mapping[str, Path], references: Path, *, train: Path | None = None, seed: int = 0) -> Evaluation:
    """The evaluation of drafts, as `radbridge evaluate` makes it."""
    return Evaluator(Plan(drafts=drafts, references=references, train=train, seed=seed)).run(lambda _: None)
