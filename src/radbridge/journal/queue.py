"""What waits to be applied: in which order it is read, what it stands behind, and how often it was tried."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, literal_column, or_, select, update

from radbridge.journal.messages import WAITING_COLUMNS, Waiting, read_row, split_touches, waiting
from radbridge.journal.schema import cases, messages
from radbridge.journal.tables.where import MESSAGE_WAITS

AT_MOST_BETWEEN = 512
"""Messages that are read because what was chosen stands behind them."""
_IS_WIDE = messages.c.touches != literal_column("''")
"""As the index says it."""
_IN_BUCKETS: ColumnElement[bool] = messages.c.bucket.in_(bindparam("buckets", expanding=True))
_BETWEEN = (
    select(*WAITING_COLUMNS)
    .where(
        MESSAGE_WAITS,
        messages.c.id > bindparam("after"),
        messages.c.id < bindparam("before"),
        _IN_BUCKETS,
    )
    .order_by(messages.c.id)
    .limit(AT_MOST_BETWEEN)
)
_OF_CASES_BETWEEN = _BETWEEN.where(
    or_(_IS_WIDE, messages.c.accession == "", messages.c.accession.in_(bindparam("accessions", expanding=True)))
)
_WAITS = select(messages.c.id).where(MESSAGE_WAITS, messages.c.id.in_(bindparam("ids", expanding=True)))
_AHEAD = select(messages.c.id, messages.c.accession, messages.c.touches, messages.c.received_at).where(
    MESSAGE_WAITS, messages.c.id < bindparam("before"), ~_IN_BUCKETS
)
_WIDE_AHEAD = _AHEAD.where(_IS_WIDE)
_OF_CASES_AHEAD = _AHEAD.where(messages.c.accession.in_(bindparam("accessions", expanding=True)))
_CASES_OF = select(cases.c.accession).where(cases.c.patient_id.in_(bindparam("patients", expanding=True)))
_THIS = update(messages).where(messages.c.id == bindparam("message_id"))
_TRY = _THIS.values(tries=bindparam("so_far"), not_before=bindparam("at"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Ahead:
    """A message that waits in another gateway's share."""

    id: int
    accession: str = field(repr=False)
    touches: tuple[str, ...] = field(repr=False)
    received_at: datetime


def read_batch(conn: Connection, *, buckets: Collection[int], at_most: int) -> list[Waiting]:
    """The oldest urgent messages of some buckets and the oldest others, with what they may stand behind, by id."""
    lines = [waiting(conn, buckets=buckets, at_most=at_most, urgent=urgent) for urgent in (True, False)]
    found = {message.id: message for line in lines for message in line}
    whole = min((line[-1].id for line in lines if len(line) == at_most), default=None)
    """Up to here nothing of these buckets is left unread."""
    if whole is not None and max(found) > whole:
        behind = [message for message in found.values() if message.id > whole]
        between = _read_between(conn, behind, after=whole, buckets=buckets)
        found |= {message.id: message for message in between}
        if len(between) == AT_MOST_BETWEEN:
            found = {id: message for id, message in found.items() if id <= between[-1].id}
    return [found[id] for id in sorted(found)]


def _read_between(
    conn: Connection, behind: Collection[Waiting], *, after: int, buckets: Collection[int]
) -> list[Waiting]:
    """What messages `behind` an id may have to follow: those of their cases, or all, once any of them is wide.

    Which cases a wide one changes isn't known here: a patient's are found when it is applied.
    """
    asked = {"after": after, "before": max(message.id for message in behind), "buckets": sorted(buckets)}
    accessions = sorted({message.accession for message in behind} - {""})
    found = [read_row(conn, row) for row in conn.execute(_OF_CASES_BETWEEN, asked | {"accessions": accessions})]
    if any(message.touches for message in (*behind, *found)):
        found = [read_row(conn, row) for row in conn.execute(_BETWEEN, asked)]
    return found


def find_waiting(conn: Connection, ids: Iterable[int]) -> set[int]:
    """Which of some messages are still to be applied."""
    asked = sorted(ids)
    # A statement for each power of two: PostgreSQL prepares one anew for every number of parameters.
    asked += asked[-1:] * (2 ** (len(asked) - 1).bit_length() - len(asked))
    return set(conn.execute(_WAITS, {"ids": asked}).scalars())


def read_wide_ahead(conn: Connection, *, before: int, buckets: Collection[int]) -> list[Ahead]:
    """The messages below an id, outside these buckets, that change more than one case."""
    return [_ahead(row) for row in conn.execute(_WIDE_AHEAD, {"before": before, "buckets": sorted(buckets)})]


def read_ahead(conn: Connection, accessions: Collection[str], *, before: int, buckets: Collection[int]) -> list[Ahead]:
    """The messages of these accessions below an id, outside these buckets."""
    asked = {"before": before, "buckets": sorted(buckets), "accessions": sorted(accessions)}
    return [_ahead(row) for row in conn.execute(_OF_CASES_AHEAD, asked)] if accessions else []


def find_cases(conn: Connection, patients: Iterable[str]) -> frozenset[str]:
    """The accessions of patients, by their numbers as they stand."""
    numbers = sorted(set(patients))
    return frozenset(conn.execute(_CASES_OF, {"patients": numbers}).scalars()) if numbers else frozenset()


def note_try(conn: Connection, message_id: int, *, tries: int, not_before: datetime | None) -> None:
    """Note how often a message was tried that may have to be set aside; it isn't tried again before that."""
    conn.execute(_TRY, {"message_id": message_id, "so_far": tries, "at": not_before})


def _ahead(row: Any) -> Ahead:
    return Ahead(id=row.id, accession=row.accession, touches=split_touches(row.touches), received_at=row.received_at)
