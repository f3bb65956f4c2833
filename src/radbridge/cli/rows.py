"""JSON lines that a command reads, one at a time: a bad line becomes a row with an `error`, and the others go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson
from pydantic import TypeAdapter
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from radbridge import jsonl
from radbridge.cli.common import err
from radbridge.errors import ConfigError, RowFault
from radbridge.jsonl import Faults

Row = TypeVar("Row")


class Line(NamedTuple):
    """A line and its number in the file, from 1 on; or why it couldn't be read."""

    number: int
    data: bytes
    fault: str = ""


class Lines:
    """The lines of a file that hold something. However long the file is, one of them is in memory."""

    def __init__(self, file: Path) -> None:
        """Counts them. Raises ConfigError when the file can't be read as lines of UTF-8."""
        if not file.is_file():
            raise ConfigError([f"--in: there is no file {file}"])
        self._file = file
        self._count = sum(1 for _ in self)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Line]:
        faults = _Faults()
        for line in jsonl.read_lines(self._file, faults=faults):
            yield from _tell(faults)
            yield Line(line.number, line.data)
        yield from _tell(faults)


class _Faults(Faults):
    """Every fault is handed on: each is a row, however many there are."""

    def add(self, fault: RowFault) -> None:
        self.told.append(fault)


def _tell(faults: Faults) -> Iterator[Line]:
    """The lines that were passed over, and no second time."""
    for fault in faults.told:
        yield Line(fault.line, b"", fault.problem)
    faults.told.clear()


def refuse_same(in_file: Path, out_file: Path) -> None:
    """Raises ConfigError where the output would overwrite the input."""
    if out_file.exists() and out_file.samefile(in_file):
        raise ConfigError([f"--out: {out_file} is the file of --in; name another"])


def parse_line(kind: TypeAdapter[Row], line: Line) -> Row:
    """One line as a row. Raises ValueError, which says what is wrong and quotes nothing."""
    if line.fault:
        raise ValueError(line.fault)
    return jsonl.parse_row(kind, line.data)


def tell_problem(line: Line, error: ValueError) -> dict[str, Any]:
    """The row for a line that can't be read: what is wrong, without the text that is."""
    return {"id": _read_id(line.data), "line": line.number, "error": str(error)}


def _read_id(data: bytes) -> str:
    try:
        row = orjson.loads(data)
    except orjson.JSONDecodeError:
        return ""
    named = row.get("id") if isinstance(row, dict) else None
    return str(named) if isinstance(named, str | int) else ""


def make_progress() -> Progress:
    """A bar on standard error, with how many of how many and the time."""
    return Progress(*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn(), console=err)
