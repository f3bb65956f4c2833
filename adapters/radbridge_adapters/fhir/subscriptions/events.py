"""The events of each subscription: numbered without gaps, kept, and so told again after a crash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from radbridge.journal.schema import resource_versions, subscription_events
from radbridge_adapters.fhir.store.subjects import PAST

_e, _v = subscription_events, resource_versions


class EventState(StrEnum):
    """What became of an event."""

    PENDING = "pending"
    SENT = "sent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event, with the version of the resource that it is about."""

    seq: int
    number: int
    attempts: int
    next_at: datetime
    type: str
    id: str = field(repr=False)
    at: datetime
    method: str
    version: int
    raw: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """`DiagnosticReport/12/_history/3`."""
        return f"{self.type}/{self.id}{PAST}{self.version}"


_COLUMNS = (
    _e.c.seq, _e.c.number, _e.c.attempts, _e.c.next_at,
    _v.c.type, _v.c.id, _v.c.at, _v.c.method, _v.c.version, _v.c.document,
)  # fmt: skip
_OF = select(*_COLUMNS).join(_v, _v.c.seq == _e.c.version_seq).where(_e.c.subscription_id == bindparam("of_id"))
_PENDING = _OF.where(_e.c.state == EventState.PENDING).order_by(_e.c.number).limit(bindparam("at_most"))
_RANGE = (
    _OF.where(_e.c.number.between(bindparam("first"), bindparam("last")))
    .order_by(_e.c.number)
    .limit(bindparam("at_most"))
)
_LAST = select(func.coalesce(func.max(_e.c.number), 0)).where(_e.c.subscription_id == bindparam("of_id"))
_ADD = insert(subscription_events)


def add(conn: Connection, subscription_id: str, version_seqs: Iterable[int], now: datetime) -> None:
    """Number them on from the last one."""
    first = last_number(conn, subscription_id) + 1
    rows = [
        {
            "subscription_id": subscription_id,
            "number": first + index,
            "version_seq": seq,
            "state": EventState.PENDING,
            "attempts": 0,
            "next_at": now,
        }
        for index, seq in enumerate(version_seqs)
    ]
    conn.execute(_ADD, rows)


def last_number(conn: Connection, subscription_id: str) -> int:
    """How many events there were since the subscription began."""
    number: int = conn.execute(_LAST, {"of_id": subscription_id}).scalar_one()
    return number


def pending(conn: Connection, subscription_id: str, at_most: int) -> list[Event]:
    """What is to be sent next, in order."""
    return [_read(row) for row in conn.execute(_PENDING, {"of_id": subscription_id, "at_most": at_most})]


def between(conn: Connection, subscription_id: str, first: int, last: int, at_most: int) -> list[Event]:
    """Events by number, sent or not."""
    given = {"of_id": subscription_id, "first": first, "last": last, "at_most": at_most}
    return [_read(row) for row in conn.execute(_RANGE, given)]


def settle(conn: Connection, seqs: Sequence[int]) -> None:
    """They were received."""
    conn.execute(update(_e).where(_e.c.seq.in_(seqs)).values(state=EventState.SENT))


def postpone(conn: Connection, seqs: Sequence[int], at: datetime) -> None:
    """They were not: try again at that time."""
    conn.execute(update(_e).where(_e.c.seq.in_(seqs)).values(attempts=_e.c.attempts + 1, next_at=at))


def _read(row: Any) -> Event:
    return Event(
        seq=row.seq,
        number=row.number,
        attempts=row.attempts,
        next_at=row.next_at,
        type=row.type,
        id=row.id,
        at=row.at,
        method=row.method,
        version=row.version,
        raw=row.document,
    )
