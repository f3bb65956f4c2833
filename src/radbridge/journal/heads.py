"""What goes next to a destination: one statement for the look before each send, one for what is to be composed ahead.

A line is what waits for a destination, of one connection's share: the urgent one, and the other. Of a case only the
oldest is in it, so that its order is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from time import monotonic
from typing import Any, NamedTuple

from pydantic import ValidationError
from sqlalchemy import (
    Connection,
    LargeBinary,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    false,
    literal_column,
    select,
    true,
    type_coerce,
)

from radbridge.case import Case
from radbridge.draft import DraftImpression, DraftState
from radbridge.journal.buckets import ALL
from radbridge.journal.cases import read_case
from radbridge.journal.deliveries import Delivery, of_row
from radbridge.journal.destinations import Destination, DestinationState, Health
from radbridge.journal.drafts import read_draft
from radbridge.journal.schema import DeliveryState, Purpose, cases, deliveries, destinations, drafts
from radbridge.journal.tables.where import is_in
from radbridge.journal.types import as_stored, open_stored


class Share(NamedTuple):
    """One connection's part of what goes to a destination: its cases' buckets, dealt out by number."""

    number: int = 0
    of: int = 1

    def has(self, bucket: int) -> bool:
        """Whether a bucket is its."""
        return bucket % self.of == self.number


WHOLE = Share()


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """Which lines are meant."""

    destination: str
    share: Share = WHOLE
    withdrawals_only: bool = False
    fresh_only: bool = False
    """Those that were never sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The first of a line, maybe due later."""

    delivery: Delivery
    stands: bool
    """Whether its draft does."""
    saved_at: datetime | None
    """When its case was saved last; None: there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A destination, and what is next to go there."""

    place: Destination
    """Without who stopped it, when and why."""
    urgent: Head | None = None
    other: Head | None = None

    @property
    def heads(self) -> list[Head]:
        """Those that there are."""
        return [head for head in (self.urgent, self.other) if head is not None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Coming:
    """A delivery that is to be composed, with all that it is made of."""

    delivery: Delivery
    case: Case = field(repr=False)
    draft: DraftImpression = field(repr=False)
    saved_at: datetime
    """When its case was."""
    at: float = field(default_factory=monotonic)
    """When it was read, in seconds of `monotonic`."""


_waiting = deliveries.alias("waiting")
_earlier = deliveries.alias("earlier")
_ROWS = as_stored(deliveries, deliveries.c.payload)
_PLACE = select(bindparam("to_destination", type_=destinations.c.name.type).label("place")).subquery("place")
_CASE = and_(cases.c.accession == deliveries.c.accession, cases.c.issuer == deliveries.c.issuer)


def look(conn: Connection, lines: Lines) -> Look:
    """The destination and the head of each line."""
    query = _look_at(lines.share, withdrawals=lines.withdrawals_only, fresh=lines.fresh_only)
    rows = conn.execute(query, {"to_destination": lines.destination}).all()
    heads = {row.urgent: _head(conn, row) for row in rows if row.seq is not None}
    return Look(place=_place(lines.destination, rows[0]), urgent=heads.get(True), other=heads.get(False))


def coming(conn: Connection, lines: Lines, *, at_most: int) -> list[Coming]:
    """What is to be composed among the first of each line, `at_most` of each, in its order.

    What can't be read isn't there: it is dealt with once its turn has come.
    """
    query = _come(lines.share, at_most, withdrawals=lines.withdrawals_only)
    rows = conn.execute(query, {"to_destination": lines.destination}).all()
    return list(_readable(conn, rows))


def _line(share: Share, *, urgent: bool, withdrawals: bool, fresh: bool = False) -> Select[Any]:
    """The numbers of a line, in its order.

    Buckets are spelled out: of a remainder PostgreSQL thinks that hardly any row has it, and sorts all of them.
    """
    query = (
        select(_waiting.c.seq)
        .where(
            is_in(_waiting.c.state, DeliveryState.PENDING),
            _waiting.c.destination == bindparam("to_destination"),
            _waiting.c.urgent == (true() if urgent else false()),
            ~exists().where(
                and_(
                    is_in(_earlier.c.state, DeliveryState.PENDING),
                    _earlier.c.destination == _waiting.c.destination,
                    _earlier.c.accession == _waiting.c.accession,
                    _earlier.c.issuer == _waiting.c.issuer,
                    _earlier.c.seq < _waiting.c.seq,
                )
            ),
        )
        .order_by(_waiting.c.next_at, _waiting.c.seq)
    )
    if share.of > 1:
        query = query.where(_waiting.c.bucket.in_([literal_column(str(n)) for n in sorted(ALL) if share.has(n)]))
    if withdrawals:
        query = query.where(_waiting.c.purpose == Purpose.WITHDRAWAL)
    return query.where(_waiting.c.attempts == 0) if fresh else query


@cache
def _look_at(share: Share, *, withdrawals: bool, fresh: bool) -> Select[Any]:
    firsts = [
        _line(share, urgent=urgent, withdrawals=withdrawals, fresh=fresh).limit(1).scalar_subquery()
        for urgent in (True, False)
    ]
    return _ROWS.add_columns(
        destinations.c.state.label("place_state"),
        destinations.c.failures,
        destinations.c.open_until,
        destinations.c.breaker_s,
        destinations.c.answered_at,
        drafts.c.state.label("draft_state"),
        cases.c.updated_at.label("saved_at"),
    ).select_from(
        _PLACE.outerjoin(destinations, destinations.c.name == _PLACE.c.place)
        .outerjoin(deliveries, deliveries.c.seq.in_(firsts))
        .outerjoin(drafts, drafts.c.id == deliveries.c.draft_id)
        .outerjoin(cases, _CASE)
    )


@cache
def _come(share: Share, at_most: int, *, withdrawals: bool) -> Select[Any]:
    lines = (_line(share, urgent=urgent, withdrawals=withdrawals) for urgent in (True, False))
    # Spelled out as well: of a number that it doesn't know PostgreSQL thinks that it is a tenth of all.
    urgent, other = (select(line.limit(literal_column(str(at_most))).subquery("line").c.seq) for line in lines)
    return (
        _ROWS.add_columns(
            cases.c.updated_at.label("saved_at"),
            type_coerce(cases.c.document, LargeBinary).label("stored_case"),
            type_coerce(drafts.c.document, LargeBinary).label("stored_draft"),
        )
        .join(drafts, drafts.c.id == deliveries.c.draft_id)
        .join(cases, _CASE)
        .where(deliveries.c.seq.in_(urgent.union_all(other)))
        .order_by(deliveries.c.next_at, deliveries.c.seq)
    )


def _place(name: str, row: Row[Any]) -> Destination:
    """As it is at first where nothing is known of it."""
    if row.place_state is None:
        return Destination(name=name)
    health = Health(
        failures=row.failures, open_until=row.open_until, breaker_s=row.breaker_s, answered_at=row.answered_at
    )
    return Destination(name=name, state=DestinationState(row.place_state), health=health)


def _head(conn: Connection, row: Row[Any]) -> Head:
    return Head(delivery=of_row(conn, row), stands=row.draft_state == DraftState.CURRENT, saved_at=row.saved_at)


def _readable(conn: Connection, rows: Sequence[Row[Any]]) -> Iterator[Coming]:
    for row in rows:
        delivery = of_row(conn, row)
        case, no_case = open_stored(conn, row.stored_case, "case.document")
        draft, no_draft = open_stored(conn, row.stored_draft, "draft.document")
        if no_case or no_draft or delivery.payload or delivery.broken:
            continue
        with suppress(ValidationError):
            yield Coming(delivery=delivery, case=read_case(case), draft=read_draft(draft), saved_at=row.saved_at)
