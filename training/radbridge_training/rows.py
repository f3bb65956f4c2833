"""Files of rows that steps hand to each other: JSON lines of one dataclass."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from radbridge import jsonl
from radbridge.jsonl import Faults

Row = TypeVar("Row")


def write_rows(file: Path, kind: TypeAdapter[Row], rows: Iterable[Row]) -> int:
    """Write the rows, one a line; how many there were."""
    count = 0
    with file.open("wb") as out:
        for row in rows:
            out.write(kind.dump_json(row) + b"\n")
            count += 1
    return count


def load_rows(file: Path, kind: TypeAdapter[Row]) -> list[Row]:
    """The rows of a file. Raises ConfigError naming the lines that can't be taken, and quoting nothing of them."""
    faults = Faults()
    rows = [row for _, row in jsonl.read_rows(file, kind, faults=faults)]
    faults.settle()
    return rows
