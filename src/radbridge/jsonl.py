"""Files of JSON lines: read one line at a time, and every fault told with its line and without its text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from radbridge.errors import ConfigError, RowFault

MAX_LINE = 16 << 20
"""Bytes of a line: a thousand times the longest report."""
TOLD = 20
"""Faults that are told one by one."""
_FOREIGN = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Marks of what is not UTF-8; the longer ones first, since one begins like another."""
_ABSENT = frozenset(("missing", "string_too_short", "string_pattern_mismatch"))

Row = TypeVar("Row")


class Line(NamedTuple):
    """A line that holds something: its number from 1 on, the byte of the file where it begins, its bytes."""

    number: int
    offset: int
    data: bytes


class Faults:
    """What is wrong with the lines of files. The first ones are told, the others counted."""

    def __init__(self, *, skip: bool = False) -> None:
        """With `skip` the faulty lines are left out, however many they are."""
        self.skip = skip
        self.count = 0
        self.told: list[RowFault] = []

    def add(self, fault: RowFault) -> None:
        """Note a fault. Raises ConfigError with all that are told once there are too many to tell."""
        self.count += 1
        if len(self.told) < TOLD:
            self.told.append(fault)
        elif not self.skip:
            self.settle()

    def settle(self) -> None:
        """Raises ConfigError with the faults, unless they are to be skipped or there are none."""
        if self.told and not self.skip:
            more = ["and more"] if self.count > len(self.told) else []
            raise ConfigError([str(fault) for fault in self.told] + more)


def read_lines(file: Path, *, faults: Faults) -> Iterator[Line]:
    """The lines of `file` that hold something, one in memory at a time.

    A line that is too long goes to `faults`. Raises ConfigError when the file can't be read, RowFault when its
    beginning says that it isn't UTF-8.
    """
    try:
        with file.open("rb") as source:
            yield from _walk(file, source, faults)
    except OSError as error:
        raise ConfigError([f"{file}: {error.strerror or 'it cannot be read'}"]) from None


def _walk(file: Path, source: BinaryIO, faults: Faults) -> Iterator[Line]:
    offset, number = _pass_mark(file, source), 0
    while data := source.readline(MAX_LINE + 1):
        number += 1
        length = len(data)
        if length > MAX_LINE and not data.endswith(b"\n"):
            while rest := source.readline(MAX_LINE):
                length += len(rest)
                if rest.endswith(b"\n"):
                    break
            faults.add(RowFault(file, number, f"longer than {MAX_LINE >> 20} MiB; is it one JSON object a line?"))
        elif data.strip():
            yield Line(number, offset, data)
        offset += length


def _pass_mark(file: Path, source: BinaryIO) -> int:
    """Where the first line begins: after the mark that some editors put before UTF-8."""
    head = source.read(4)
    for mark, name in _FOREIGN.items():
        if head.startswith(mark):
            raise RowFault(file, 1, f"{name}; save the file as UTF-8")
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    source.seek(start)
    return start


def read_rows(file: Path, kind: TypeAdapter[Row], *, faults: Faults) -> Iterator[tuple[int, Row]]:
    """The rows of `file` with the numbers of their lines. Lines that can't be taken go to `faults`."""
    for line in read_lines(file, faults=faults):
        try:
            yield line.number, parse_row(kind, line.data)
        except ValueError as error:
            faults.add(RowFault(file, line.number, str(error)))


def parse_row(kind: TypeAdapter[Row], data: bytes) -> Row:
    """One line as a row: `null` means not known, and a number will do for an id.

    Raises ValueError, which says what is wrong and quotes nothing.
    """
    try:
        row = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(_tell_json(data, error)) from None
    if not isinstance(row, dict):
        raise ValueError("isn't a JSON object")  # noqa: TRY004 - it is the text of a file that is wrong
    known = {k: v for k, v in row.items() if v is not None}
    if isinstance(known.get("id"), int):
        known["id"] = str(known["id"])
    try:
        return kind.validate_python(known)
    except ValidationError as error:
        raise ValueError(tell_faults(error)) from None


def tell_faults(error: ValidationError) -> str:
    """What is wrong with a row, by its keys, without what stands there."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'the row'}"
        + (" is missing or empty" if e["type"] in _ABSENT else f": {e['msg']}")
        for e in error.errors(include_input=False, include_url=False, include_context=False)
    )


def _tell_json(data: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        byte = data[wrong.start]
        return f"byte 0x{byte:02X} at {wrong.start + 1} isn't UTF-8; convert the file, such as with iconv"
    return f"isn't JSON: {error.msg} at {error.pos + 1}"
