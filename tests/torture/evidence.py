"""All that is known of a run when it is over: the actors' ledgers and the database's rows. Nothing of RadBridge."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.torture.clocks import STEP_S
from tests.torture.tables import Row, Tables
from tests.torture.words import POSITIVE

Note = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One message on its way from a RIS to a gateway."""

    sent: Note
    told: Note | None

    @property
    def message(self) -> str:
        """The message's name: the digest of its bytes."""
        return str(self.sent["message"])

    @property
    def is_acknowledged(self) -> bool:
        """Whether a positive answer came."""
        return self.told is not None and self.told["code"] in POSITIVE

    @property
    def told_at(self) -> float:
        """When the answer came; endless where none did."""
        return float(self.told["t"]) if self.told else float("inf")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Notes in the order of the machine's clock, and the rows of the end."""

    notes: Sequence[Note]
    tables: Tables = field(repr=False)

    def of(self, what: str) -> list[Note]:
        """The notes of one kind."""
        return self._by_what.get(what, [])

    @cached_property
    def _by_what(self) -> dict[str, list[Note]]:
        found: dict[str, list[Note]] = defaultdict(list)
        for note in self.notes:
            found[note["what"]].append(note)
        return found

    @cached_property
    def attempts(self) -> list[Attempt]:
        """Every message that was sent, with its answer if there was one."""
        told = {(n["actor"], n["attempt"]): n for n in self.of("told")}
        return [Attempt(sent=n, told=told.get((n["actor"], n["attempt"]))) for n in self.of("sent")]

    @cached_property
    def acknowledged(self) -> dict[str, Attempt]:
        """Message -> the attempt that was acknowledged first."""
        found: dict[str, Attempt] = {}
        for attempt in sorted((a for a in self.attempts if a.is_acknowledged), key=lambda a: a.told_at):
            found.setdefault(attempt.message, attempt)
        return found

    @cached_property
    def stored(self) -> dict[str, list[Row]]:
        """Message -> its rows."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.tables["message"]:
            found[row["digest"]].append(row)
        return found

    @cached_property
    def deliveries(self) -> dict[str, Row]:
        """Control id -> its row of the outbox."""
        return {row["control_id"]: row for row in self.tables["delivery"]}

    @cached_property
    def copies(self) -> dict[tuple[str, str], list[Note]]:
        """Destination and accession -> what came there, in order of arrival."""
        found: dict[tuple[str, str], list[Note]] = defaultdict(list)
        for note in self.of("came"):
            found[note["actor"], note["accession"]].append(note)
        return found

    @cached_property
    def taken(self) -> list[Note]:
        """What came to a destination and was answered there, positively and under its own id."""
        yes = {(n["actor"], n["copy"]) for n in self.of("answered") if n["right"] and n["code"] in POSITIVE}
        return [n for n in self.of("came") if (n["actor"], n["copy"]) in yes]

    def made_at(self, row: Row) -> float:
        """When a row was made, on the clock of the notes; endless where nobody knows.

        Its gateway's clock may have been off by whole steps; a run is shorter than one.
        """
        began = next(iter(self.of("began")), None)
        if began is None or not row.get("created_at"):
            return float("inf")
        created = datetime.fromisoformat(str(row["created_at"])).replace(tzinfo=UTC)
        return float(began["t"] + (created.timestamp() - began["wall"]) % STEP_S)

    def windows(self, begin: str, end: str, **facts: str) -> Iterator[tuple[float, float]]:
        """The times between two events of the controller; what was never ended lasts for ever."""
        begun: float | None = None
        for note in self.of("event"):
            if any(note.get(key) != value for key, value in facts.items()):
                continue
            if note["kind"] == begin and begun is None:
                begun = note["t"]
            elif note["kind"] == end and begun is not None:
                yield begun, note["t"]
                begun = None
        if begun is not None:
            yield begun, float("inf")

    def was_stopped(self, gateway: str, moment: float, *, within_s: float) -> bool:
        """Whether a gateway stood still, or had just gone on, at that moment."""
        return any(s - within_s <= moment <= e + within_s for s, e in self.windows("stop", "cont", gateway=gateway))


def digest_findings(findings: str) -> str:
    """The digest that a draft carries, made a second time here."""
    folded = re.sub(r"\s+", " ", findings).strip()
    return hashlib.sha256(folded.encode()).hexdigest()[:16] if folded else ""


def read_ledgers(folder: Path) -> list[Note]:
    """Every actor's notes, by time. A last line that was cut by a crash is no note."""
    lines = (line for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines())
    return sorted((json.loads(line) for line in lines if line.endswith("}")), key=lambda n: n["t"])


def save(evidence: Evidence, file: Path) -> None:
    """Write it down, so that it can be judged again without its run."""
    tables = {name: [_plain(row) for row in rows] for name, rows in evidence.tables.items()}
    with gzip.GzipFile(file, "wb", mtime=0) as out:
        out.write(json.dumps({"notes": list(evidence.notes), "tables": tables}).encode())


def load(file: Path) -> Evidence:
    """What `save` wrote."""
    with gzip.open(file, "rt") as lines:
        said = json.load(lines)
    for row in (row for rows in said["tables"].values() for row in rows):
        for key in ("payload", "prev", "hash", "document"):
            if isinstance(row.get(key), str):
                row[key] = bytes.fromhex(row[key])
    return Evidence(notes=said["notes"], tables=said["tables"])


def _plain(row: Row) -> Row:
    return {k: bytes(v).hex() if isinstance(v, bytes | memoryview) else v for k, v in row.items()} | {
        k: v.isoformat(" ") for k, v in row.items() if isinstance(v, datetime)
    }
