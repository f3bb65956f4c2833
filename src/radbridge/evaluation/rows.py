"""What is evaluated: drafts beside the reports that were signed, paired by id, one pair in memory at a time."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from radbridge.errors import RowFault
from radbridge.jsonl import Faults, parse_row, read_lines

Said = Annotated[str, Field(pattern=r"\S")]
"""A text that holds something."""
Row = TypeVar("Row", "Reference", "Draft")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A signed report."""

    id: Said
    impression: Said = field(repr=False)
    findings: Said = field(repr=False)
    indication: str = field(default="", repr=False)
    comparison: str = field(default="", repr=False)
    modality: str = ""
    body_system: str = ""
    sex: str = ""
    age: int | None = None
    institution: str = ""
    radiologist: str = ""
    persona: str = ""
    abnormal: bool | None = None
    """None: told from the impression."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What `radbridge draft` wrote for a report."""

    id: Said
    draft: str = field(default="", repr=False)
    error: str = ""
    """Why there is no draft. It counts as an empty one."""
    ms: float | None = None
    stage: str = ""
    fallback: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A draft beside its report."""

    number: int
    """The line of the drafts' file."""
    reference: Reference
    draft: Draft


REFERENCE = TypeAdapter(Reference)
DRAFT = TypeAdapter(Draft)


class Rows(Generic[Row]):
    """The rows of one file by their ids, of which only a digest is kept: 24 bytes a row, whatever its length."""

    def __init__(self, file: Path, kind: TypeAdapter[Row], *, faults: Faults) -> None:
        """Reads the file once, to the end. Faults of its lines go to `faults`; such lines are left out."""
        self.file = file
        ids, offsets, numbers = _index(file, kind, faults)
        with file.open("rb") as source:
            self.sha256 = hashlib.file_digest(source, "sha256").hexdigest()
        self._kind: TypeAdapter[Row] = kind
        order = np.argsort(ids, kind="stable")
        repeated = np.flatnonzero(ids[order][1:] == ids[order][:-1]) + 1
        for place in repeated[np.argsort(order[repeated])]:
            first = numbers[order[np.searchsorted(ids[order], ids[order[place]])]]
            faults.add(RowFault(file, int(numbers[order[place]]), f"the same id as in line {first}"))
        kept = np.ones(len(ids), dtype=bool)
        kept[order[repeated]] = False
        self.ids, self.offsets, self.numbers = ids[kept], offsets[kept], numbers[kept]

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The place of each id among the rows; -1 where there is none."""
        if not len(self):
            return np.full(len(ids), -1)
        order = np.argsort(self.ids, kind="stable")
        near = np.minimum(np.searchsorted(self.ids[order], ids), len(self) - 1)
        return np.where(self.ids[order][near] == ids, order[near], -1)

    def read(self, places: NDArray[np.int64]) -> Iterator[tuple[int, Row]]:
        """The rows at `places` with the numbers of their lines, read anew. Raises RowFault when the file changed."""
        with self.file.open("rb") as source:
            for place in places:
                number = int(self.numbers[place])
                try:
                    row = parse_row(self._kind, _read_at(source, int(self.offsets[place])))
                except ValueError:
                    raise RowFault(self.file, number, "changed while it was read") from None
                if _digest(row.id) != self.ids[place]:
                    raise RowFault(self.file, number, "changed while it was read")
                yield number, row


class Matched:
    """Systems' drafts of the same reports, in the order of the references."""

    def __init__(self, references: Path, drafts: Mapping[str, Path], *, faults: Faults) -> None:
        """Reads every file once. Raises ConfigError with their faults, unless `faults` skips them.

        A report that one of the systems has no draft for is a fault, and is left out for all of them.
        """
        self.references = Rows(references, REFERENCE, faults=faults)
        self.systems = {name: Rows(file, DRAFT, faults=faults) for name, file in drafts.items()}
        places = {name: rows.find(self.references.ids) for name, rows in self.systems.items()}
        for name, rows in self.systems.items():
            self._tell_strangers(rows, places[name], faults)
        faults.settle()
        shared = np.all([found >= 0 for found in places.values()], axis=0)
        self._reports = np.flatnonzero(shared)
        self._drafts = {name: found[shared] for name, found in places.items()}

    def __len__(self) -> int:
        return len(self._reports)

    def read_references(self) -> Iterator[Reference]:
        """The reports that every system has a draft for."""
        for _, reference in self.references.read(self._reports):
            yield reference

    def pairs(self, system: str) -> Iterator[Pair]:
        """Those reports with the drafts of one system."""
        drafts = self.systems[system].read(self._drafts[system])
        for (_, reference), (number, draft) in zip(self.references.read(self._reports), drafts, strict=True):
            yield Pair(number=number, reference=reference, draft=draft)

    def _tell_strangers(self, rows: Rows[Draft], found: NDArray[np.int64], faults: Faults) -> None:
        """Drafts without a report, and reports without a draft."""
        known = np.zeros(len(rows), dtype=bool)
        known[found[found >= 0]] = True
        for place in np.flatnonzero(~known):
            faults.add(RowFault(rows.file, int(rows.numbers[place]), f"no row of {self.references.file} has its id"))
        sizes = f"{self.references.file} has {len(self.references)} good rows, {rows.file} {len(rows)}"
        for place in np.flatnonzero(found < 0):
            number = int(self.references.numbers[place])
            faults.add(RowFault(self.references.file, number, f"{rows.file} has no draft for it ({sizes})"))


def _index(
    file: Path, kind: TypeAdapter[Row], faults: Faults
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """For each good line the digest of its id, the byte where it begins, and its number."""
    ids, offsets, numbers = array("Q"), array("q"), array("q")
    for line in read_lines(file, faults=faults):
        try:
            row = parse_row(kind, line.data)
        except ValueError as error:
            faults.add(RowFault(file, line.number, str(error)))
            continue
        ids.append(_digest(row.id))
        offsets.append(line.offset)
        numbers.append(line.number)
    return (
        np.array(ids, dtype=np.uint64),
        np.array(offsets, dtype=np.int64),
        np.array(numbers, dtype=np.int64),
    )


def _digest(id_: str) -> int:
    return int.from_bytes(hashlib.blake2b(id_.encode(errors="surrogatepass"), digest_size=8).digest())


def _read_at(source: BinaryIO, offset: int) -> bytes:
    if source.tell() != offset:
        source.seek(offset)
    return source.readline()
