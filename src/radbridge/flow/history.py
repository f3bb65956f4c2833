"""Historical reports from files, taken in as if their wires had brought them then, and applied at once.

A report is committed with all that follows from it, so a gateway that runs meanwhile never sees one waiting, and files
that come again change nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import structlog
from sqlalchemy import Connection

from radbridge.errors import ConfigError, JournalError, MessageFault, RowFault
from radbridge.events import Event, ReportSigned
from radbridge.flow.applying import Step
from radbridge.flow.importing import ISSUER, ImportRow, as_received, read_row, translate_row
from radbridge.flow.process import Processor
from radbridge.journal import Journal, cases, messages
from radbridge.jsonl import Faults, read_lines
from radbridge.registry import as_persona
from radbridge.wire import Received, Rejected, Wire

log = structlog.get_logger(__name__)

ROWS = ".jsonl"
AT_ONCE = 64
"""Messages that are written together: each is one report with its effects, and they share one sync of the disk."""
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One message of a file, and what it tells."""

    received: Received
    facts: Sequence[Event] = field(repr=False)
    persona: str = ""
    """Who writes most like its signer, where a row says so."""

    @property
    def at(self) -> datetime:
        """When it was told; what tells nothing comes last."""
        return min((fact.at for fact in self.facts), default=_LAST)

    @property
    def reports(self) -> Sequence[ReportSigned]:
        """The signed reports in it."""
        return [f for f in self.facts if isinstance(f, ReportSigned) and f.report.impression.strip()]


class Taken(StrEnum):
    """What became of a message."""

    NEW = "new"
    KNOWN = "known"
    """It had come before, from a file or over the wire."""
    FAILED = "failed"


class Reader:
    """Reads files: rows by their suffix, and what wires know."""

    def __init__(self, wires: Sequence[Wire], *, radiologist: str, personas: Collection[str]) -> None:
        """`radiologist` is the key under which rows name their signer, `personas` are the owners that they may name."""
        self._wires = {suffix: wire for wire in wires if wire.files for suffix in wire.files.suffixes}
        self._radiologist = radiologist
        self._personas = personas

    def find(self, source: Path) -> list[Path]:
        """The files that `source` is, or that are in it. Raises ConfigError where there is none that can be read."""
        if not source.exists():
            raise ConfigError([f"{source}: no such file or folder"])
        known = {ROWS, *self._wires}
        found = sorted(source.rglob("*")) if source.is_dir() else [source]
        files = [file for file in found if file.is_file() and file.suffix.lower() in known]
        if not files:
            raise ConfigError([f"{source}: no file that ends in {', '.join(sorted(known))} is there"])
        return files

    def read(self, file: Path, faults: Faults) -> Iterator[Item]:
        """The messages of one file, as they stand in it. What can't be taken goes to `faults`, without its text."""
        return self._read_rows(file, faults) if file.suffix.lower() == ROWS else self._read_messages(file, faults)

    def _read_rows(self, file: Path, faults: Faults) -> Iterator[Item]:
        for line in read_lines(file, faults=faults):
            try:
                row = read_row(line.data, radiologist=self._radiologist)
                self._check_persona(row)
            except ValueError as error:
                faults.add(RowFault(file, line.number, str(error)))
                continue
            received = as_received(row)
            yield Item(received=received, facts=translate_row(received.raw), persona=row.persona)

    def _check_persona(self, row: ImportRow) -> None:
        """Raises ValueError."""
        if row.persona and as_persona(row.persona) not in self._personas:
            known = ", ".join(sorted(owner.partition("/")[2] for owner in self._personas))
            raise ValueError(f"persona is none of: {known}")

    def _read_messages(self, file: Path, faults: Faults) -> Iterator[Item]:
        wire = self._wires[file.suffix.lower()]
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ConfigError([f"{file}: {error.strerror or 'it cannot be read'}"]) from None
        for filed in wire.files.read(content) if wire.files else ():
            try:
                yield _translate(wire, filed.message)
            except MessageFault as fault:
                faults.add(RowFault(file, filed.line, f"{fault.reason}: {fault}"))
            except Exception as error:  # a message that trips a bug is told like any that can't be taken
                log.exception("message can't be translated", kind=filed.message.kind)
                faults.add(RowFault(file, filed.line, f"internal error ({type(error).__name__})"))


def _translate(wire: Wire, message: Received | Rejected) -> Item:
    """Raises MessageFault."""
    if isinstance(message, Rejected):
        raise MessageFault(message.reason, message.detail)
    return Item(received=message, facts=wire.translate(message.raw))


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """Files that were read once and found good, in the order of what they tell first. One at a time is in memory."""

    reader: Reader
    files: tuple[Path, ...]
    count: int
    """Messages in all of them."""
    personas: Mapping[str, str]
    """By radiologist, as rows say."""
    unnamed: int = 0
    """Signed reports that don't say what their patient is called: names in them are found by what is around."""

    def batches(self) -> Iterator[Sequence[Item]]:
        """The messages, those of one file in the order in which they were told."""
        batch: list[Item] = []
        for file in self.files:
            for item in sorted(self.reader.read(file, Faults(skip=True)), key=lambda item: item.at):
                batch.append(item)
                if len(batch) == AT_ONCE:
                    yield batch
                    batch = []
        if batch:
            yield batch


def read_history(reader: Reader, source: Path, faults: Faults) -> History:
    """Read everything once. Raises ConfigError with what is wrong, unless `faults` are to be skipped."""
    first: dict[Path, datetime] = {}
    personas: dict[str, str] = {}
    count = unnamed = 0
    for file in reader.find(source):
        for item in reader.read(file, faults):
            first[file] = min(item.at, first.get(file, _LAST))
            personas |= {report.signer.id: item.persona for report in item.reports if item.persona}
            unnamed += sum(1 for report in item.reports if not report.patient.name)
            count += 1
    faults.settle()
    files = sorted(first, key=lambda file: (first[file], file))
    return History(reader=reader, files=tuple(files), count=count, personas=personas, unnamed=unnamed)


class Importer:
    """Takes messages in and applies them, each with its effects in one transaction."""

    def __init__(self, journal: Journal, processor: Processor) -> None:
        self._journal = journal
        self._processor = processor

    async def take(self, items: Sequence[Item]) -> list[Taken]:
        """Commit a few. Raises JournalError where the journal can't; one that trips a bug is left out and logged."""
        writing = (self._journal.write(self._take, item) for item in items)
        done = await asyncio.gather(*writing, return_exceptions=True)
        return [self._tell(item, result) for item, result in zip(items, done, strict=True)]

    def _take(self, conn: Connection, items: Sequence[Item]) -> list[Taken]:
        return [self._take_one(conn, item) for item in items]

    def _take_one(self, conn: Connection, item: Item) -> Taken:
        if any(_is_known_better(conn, report) for report in item.reports):
            return Taken.KNOWN
        stored = messages.take(conn, item.received)
        if stored is None:
            return Taken.KNOWN
        self._processor.apply_now(conn, [Step(message=stored, facts=item.facts)])
        return Taken.NEW

    def _tell(self, item: Item, result: Taken | BaseException) -> Taken:
        if isinstance(result, Taken):
            return result
        if isinstance(result, JournalError) or not isinstance(result, Exception):
            raise result
        log.error("message can't be applied", kind=item.received.kind, exc_info=result)
        return Taken.FAILED


def _is_known_better(conn: Connection, report: ReportSigned) -> bool:
    """Whether a wire told of the same study, and what was signed before it was live isn't its last word.

    A row never touches such a case, whatever it says; a message only one that was signed earlier.
    """
    known = cases.find(conn, report.key, report.patient.id)
    if known is None or known.key.issuer == ISSUER:
        return False
    return report.key.issuer == ISSUER or (known.signed_at is not None and known.signed_at >= report.at)
