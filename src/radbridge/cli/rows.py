"""JSON lines that a command reads: a bad line becomes a row with an `error`, and the others go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from radbridge.cli.common import err
from radbridge.errors import ConfigError

Row = TypeVar("Row")
Line = tuple[int, bytes]
"""A line and its number in the file, from 1 on."""


def read_lines(file: Path) -> list[Line]:
    """The lines of `file` that hold something. Raises ConfigError when there is no such file."""
    if not file.is_file():
        raise ConfigError([f"--in: there is no file {file}"])
    return [(number, line) for number, line in enumerate(file.read_bytes().splitlines(), 1) if line.strip()]


def refuse_same(in_file: Path, out_file: Path) -> None:
    """Raises ConfigError where the output would overwrite the input."""
    if out_file.exists() and out_file.samefile(in_file):
        raise ConfigError([f"--out: {out_file} is the file of --in; name another"])


def parse_row(adapter: TypeAdapter[Row], line: bytes) -> Row:
    """One line as a row: `null` means not known, and a number will do for an id. Raises ValidationError."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return adapter.validate_json(line)  # says where the JSON breaks
    if isinstance(row, dict):
        row = {k: v for k, v in row.items() if v is not None}
        if isinstance(row.get("id"), int):
            row["id"] = str(row["id"])
    return adapter.validate_python(row)


def tell_problem(number: int, line: bytes, error: ValidationError) -> dict[str, Any]:
    """The row for a line that can't be read: what is wrong, without the text that is."""
    problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'line'}: {e['msg']}" for e in error.errors())
    return {"id": _read_id(line), "line": number, "error": problems}


def _read_id(line: bytes) -> str:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return ""
    named = row.get("id") if isinstance(row, dict) else None
    return str(named) if isinstance(named, str | int) else ""


def make_progress() -> Progress:
    """A bar on standard error, with how many of how many and the time."""
    return Progress(*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn(), console=err)
