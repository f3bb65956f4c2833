"""What is known of each destination: whether an operator stopped it, and how it has been answering.

Shared by all gateways, and there again after a restart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from radbridge.audit import Note, What
from radbridge.config.checks import RESERVED
from radbridge.errors import NotThere
from radbridge.journal import audit
from radbridge.journal.schema import deliveries, destinations
from radbridge.journal.tables.where import DELIVERY_WAITS
from radbridge.journal.upsert import insert


class DestinationState(StrEnum):
    """Whether drafts go there."""

    ACTIVE = "active"
    PAUSED = "paused"
    """An operator stopped it: nothing goes there, not even what takes a draft back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """How a destination has been answering (`radbridge.flow.breaker`)."""

    failures: int = 0
    """Sends without a yes since the last one."""
    open_until: datetime | None = None
    """Until when nothing is sent; behind it, one send at a time is tried. None: all is well."""
    breaker_s: float = 0.0
    """How long that stop was, in seconds."""
    answered_at: datetime | None = None
    """When it last answered anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A destination as the journal knows it."""

    name: str
    state: DestinationState = DestinationState.ACTIVE
    reason: str = ""
    """Why an operator stopped it."""
    actor: str = ""
    changed_at: datetime | None = None
    health: Health = field(default_factory=Health)

    @property
    def is_paused(self) -> bool:
        """Whether an operator stopped it."""
        return self.state is DestinationState.PAUSED


_ROW = select(destinations).where(destinations.c.name == bindparam("of_name"))
_HELD = _ROW.with_for_update()
_ALL = select(destinations).order_by(destinations.c.name)
_PREPARE = insert(destinations).on_conflict_do_nothing()
_STATE = (
    update(destinations)
    .where(destinations.c.name == bindparam("of_name"), destinations.c.state != bindparam("to_state"))
    .values(state=bindparam("to_state"), reason=bindparam("because"), actor=bindparam("by"), changed_at=bindparam("at"))
)
_HEALTH = (
    update(destinations)
    .where(destinations.c.name == bindparam("of_name"))
    .values(
        failures=bindparam("in_a_row"),
        open_until=bindparam("until"),
        breaker_s=bindparam("for_s"),
        answered_at=bindparam("at"),
    )
)
_WAITING = (
    select(deliveries.c.destination, func.count().label("waiting"))
    .where(DELIVERY_WAITS)
    .group_by(deliveries.c.destination)
)


def load(conn: Connection, name: str) -> Destination:
    """One destination; as it is at first where nothing is known of it."""
    row = conn.execute(_ROW, {"of_name": name}).first()
    return Destination(name=name) if row is None else _destination(row)


def hold(conn: Connection, name: str, at: datetime) -> Destination:
    """One destination, to be changed in this transaction: whoever else wants to change it waits."""
    row = conn.execute(_HELD, {"of_name": name}).first()
    if row is None:
        prepare(conn, [name], at)
        row = conn.execute(_HELD, {"of_name": name}).one()
    return _destination(row)


def prepare(conn: Connection, names: Iterable[str], at: datetime) -> None:
    """Have a row for each name."""
    rows = [{"name": name, "state": DestinationState.ACTIVE, "changed_at": at} for name in sorted(names)]
    if rows:
        conn.execute(_PREPARE, rows)


def known(conn: Connection) -> list[Destination]:
    """Every destination that was ever delivered to or stopped."""
    return [_destination(row) for row in conn.execute(_ALL)]


def waiting(conn: Connection) -> dict[str, int]:
    """How many deliveries wait, by destination."""
    return {row.destination: row.waiting for row in conn.execute(_WAITING)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What somebody wants done with a destination."""

    name: str
    state: DestinationState
    actor: str
    via: str
    """`cli`, `api`."""
    reason: str = ""
    among: frozenset[str] | None = None
    """The names in the site's file: what is neither there nor known from before isn't there. None: not asked."""


def order(conn: Connection, orders: Sequence[Order]) -> list[Destination | None]:
    """Stop destinations or let them go on, and note who did; None where it is so already. Raises NotThere."""
    for one in orders:
        if one.among is not None:
            _require(one.name, {*one.among, *RESERVED, *(place.name for place in known(conn))})
    return [_order(conn, one, datetime.now(UTC)) for one in orders]


def _require(name: str, names: Collection[str]) -> None:
    if name not in names:
        raise NotThere([f"there is no destination {name!r}; there are {', '.join(sorted(names))}"])


def _order(conn: Connection, one: Order, at: datetime) -> Destination | None:
    hold(conn, one.name, at)
    said = {"of_name": one.name, "to_state": one.state, "because": one.reason, "by": one.actor, "at": at}
    if not conn.execute(_STATE, said).rowcount:
        return None
    detail = {"destination": one.name, "state": one.state, "reason": one.reason}
    audit.note(conn, [Note(at=at, what=What.PAUSED, actor=one.actor, via=one.via, detail=detail)])
    return load(conn, one.name)


def note_health(conn: Connection, name: str, health: Health) -> None:
    """Note how it answered. The row is held."""
    conn.execute(
        _HEALTH,
        {
            "of_name": name,
            "in_a_row": health.failures,
            "until": health.open_until,
            "for_s": health.breaker_s,
            "at": health.answered_at,
        },
    )


def _destination(row: Row[Any]) -> Destination:
    return Destination(
        name=row.name,
        state=DestinationState(row.state),
        reason=row.reason,
        actor=row.actor,
        changed_at=row.changed_at,
        health=Health(
            failures=row.failures,
            open_until=row.open_until,
            breaker_s=row.breaker_s,
            answered_at=row.answered_at,
        ),
    )
