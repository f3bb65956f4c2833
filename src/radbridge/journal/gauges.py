"""What the journal says of the work that waits: numbers, no text of anybody. Each is read by an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Table, bindparam, func, select

from radbridge.journal.audit import SYSLOG
from radbridge.journal.destinations import DestinationState
from radbridge.journal.schema import (
    audit_anchors,
    audit_events,
    audit_pending,
    cursors,
    deliveries,
    destinations,
    draft_requests,
    messages,
)
from radbridge.journal.tables.where import DELIVERY_FAILED, DELIVERY_WAITS, MESSAGE_FAILED, MESSAGE_WAITS

_MESSAGES = select(func.count(), func.min(messages.c.id)).where(MESSAGE_WAITS)
_REQUESTS = select(func.count(), func.min(draft_requests.c.ready_at))
_DELIVERIES = (
    select(deliveries.c.destination, func.count(), func.min(deliveries.c.seq))
    .where(DELIVERY_WAITS)
    .group_by(deliveries.c.destination)
)
_FAILED = select(messages.c.state, func.count()).where(MESSAGE_FAILED).group_by(messages.c.state)
_DEAD = select(deliveries.c.state, func.count()).where(DELIVERY_FAILED).group_by(deliveries.c.state)
_PENDING = select(func.count(), func.min(audit_pending.c.seq))
_HEAD = select(func.max(audit_events.c.seq))
_ANCHOR = select(func.max(audit_anchors.c.seq))
_TOLD = select(cursors.c.seq).where(cursors.c.name == SYSLOG)
_UNTOLD = select(audit_events.c.at).where(audit_events.c.seq > bindparam("told")).order_by(audit_events.c.seq).limit(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """Work of one kind that waits."""

    name: str
    """`apply`, `draft`, `deliver`."""
    destination: str = ""
    depth: int
    since: datetime | None
    """Of the oldest; None where nothing waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What is known of a destination."""

    name: str
    is_paused: bool
    open_until: datetime | None
    """Until when its breaker leaves it alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trail:
    """How far the audit trail is."""

    pending: int
    since: datetime | None
    """Of the oldest note that isn't in the chain."""
    head: int
    told: int
    """Up to where syslog knows it; where it never got any, up to what a purge took before."""
    untold_since: datetime | None
    """Of the first event after that."""


def queues(conn: Connection) -> list[Queue]:
    """Everything that waits to be applied, drafted and delivered."""
    count, first = conn.execute(_MESSAGES).one()
    apply = Queue(name="apply", depth=count, since=_at(conn, messages, "id", "received_at", first))
    count, since = conn.execute(_REQUESTS).one()
    draft = Queue(name="draft", depth=count, since=since)
    rows = conn.execute(_DELIVERIES).all()
    return [
        apply,
        draft,
        *(
            Queue(
                name="deliver",
                destination=destination,
                depth=count,
                since=_at(conn, deliveries, "seq", "created_at", first),
            )
            for destination, count, first in rows
        ),
    ]


def dead(conn: Connection) -> dict[str, int]:
    """What waits for a person, by its state."""
    rows: Sequence[tuple[str, int]] = [*map(tuple, conn.execute(_FAILED)), *map(tuple, conn.execute(_DEAD))]
    return dict(rows)


def places(conn: Connection) -> list[Place]:
    """Every destination that was ever paused or failed."""
    return [
        Place(name=row.name, is_paused=row.state == DestinationState.PAUSED, open_until=row.open_until)
        for row in conn.execute(select(destinations.c.name, destinations.c.state, destinations.c.open_until))
    ]


def trail(conn: Connection) -> Trail:
    """How far the audit trail is."""
    count, first = conn.execute(_PENDING).one()
    anchor = conn.execute(_ANCHOR).scalar() or 0
    told = max(conn.execute(_TOLD).scalar() or 0, anchor)
    return Trail(
        pending=count,
        since=_at(conn, audit_pending, "seq", "at", first),
        head=conn.execute(_HEAD).scalar() or anchor,
        told=told,
        untold_since=conn.execute(_UNTOLD, {"told": told}).scalar(),
    )


def _at(conn: Connection, table: Table, key: str, time: str, value: int | None) -> datetime | None:
    """The time of one row, which is found by its key."""
    if value is None:
        return None
    column: Column[datetime] = table.c[time]
    return conn.execute(select(column).where(table.c[key] == value)).scalar()
