"""Leases: which gateway has which share of the work, where several share a PostgreSQL.

All times are the database's, so that a clock that is wrong or stepped does no harm. An owner that went silent keeps a
lease until somebody takes it; with that its epoch counts up, and `fence` lets nothing more through that was begun
under the old one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Interval, bindparam, delete, func, or_, select, update

from radbridge.errors import LeaseLost
from radbridge.journal import clock
from radbridge.journal.schema import gateways, leases
from radbridge.journal.types import Utc
from radbridge.journal.upsert import insert

_FOR = bindparam("for_s", type_=Interval())
_HERE = leases.c.name.in_(bindparam("names", expanding=True))
_MINE = leases.c.owner == bindparam("me")
_PREPARE = insert(leases).on_conflict_do_nothing()
_FREE = (
    select(leases.c.name, leases.c.owner, leases.c.epoch)
    .where(_HERE, or_(leases.c.owner == "", leases.c.until < clock.NOW))
    .order_by(leases.c.name)
    .limit(bindparam("at_most"))
    .with_for_update(skip_locked=True)
)
_LATER = func.timezone("utc", func.clock_timestamp() + _FOR, type_=Utc)
_TAKE = update(leases).where(_HERE).values(owner=bindparam("me"), epoch=leases.c.epoch + 1, until=_LATER, clean=False)
_RENEW = update(leases).where(_MINE).values(until=_LATER).returning(leases.c.name, leases.c.epoch)
_RELEASE = update(leases).where(_MINE, _HERE).values(owner="", clean=True)
_HELD = select(leases.c.name, leases.c.epoch).where(_MINE, _HERE).with_for_update(read=True, key_share=True)
"""KEY SHARE stands in the way of `take`, so that nobody takes a lease under a transaction that is still to commit, and
not in the way of `renew`, which may come in between."""
_SEEN = insert(gateways).values(started_at=bindparam("at"), seen_at=bindparam("at"))
_BEAT = _SEEN.on_conflict_do_update(index_elements=["id"], set_={c: _SEEN.excluded[c] for c in ("seen_at", "address")})
_COUNT = select(func.count()).select_from(gateways).where(gateways.c.seen_at > bindparam("since"))
_LEAVE = delete(gateways).where(gateways.c.id == bindparam("me"))
_SWEEP = delete(gateways).where(gateways.c.seen_at < bindparam("before"))
_LONG_GONE = timedelta(days=1)
"""A dead gateway is shown for so long by `radbridge gateways`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Self:
    """The gateway that is at work here."""

    id: str
    """New with each start: a gateway that was started again is another owner."""
    name: str
    version: str
    address: str = ""
    """Of its HTTP port."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A lease that was just taken."""

    name: str
    epoch: int
    clean: bool
    """False where its last owner died over it: what it was at may have been why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A gateway as the others see it."""

    id: str
    name: str
    version: str
    address: str
    started_at: datetime
    seen_at: datetime
    age_s: float
    """Since it was last seen, by the database's clock."""
    holds: tuple[str, ...]
    """Names of leases."""


def prepare(conn: Connection, names: Iterable[str]) -> None:
    """Have a row for each name."""
    rows = [{"name": name, "clean": True} for name in sorted(names)]
    if rows:
        conn.execute(_PREPARE.values(until=clock.NOW), rows)


def take(conn: Connection, me: str, names: Collection[str], *, at_most: int, lease_s: float) -> list[Taken]:
    """Take some of `names` that are nobody's, or whose owner went silent."""
    if at_most <= 0 or not names:
        return []
    free = conn.execute(_FREE, {"names": list(names), "at_most": at_most}).all()
    if free:
        conn.execute(_TAKE, {"names": [row.name for row in free], "me": me, "for_s": timedelta(seconds=lease_s)})
    return [Taken(name=row.name, epoch=row.epoch + 1, clean=row.owner == "") for row in free]


def renew(conn: Connection, me: str, *, lease_s: float) -> dict[str, int]:
    """Keep what is still ours for `lease_s` from now; its epochs by name."""
    rows = conn.execute(_RENEW, {"me": me, "for_s": timedelta(seconds=lease_s)})
    return {row.name: row.epoch for row in rows}


def release(conn: Connection, me: str, names: Collection[str]) -> None:
    """Give leases away, with nothing left half done."""
    if names:
        conn.execute(_RELEASE, {"me": me, "names": list(names)})


def fence(conn: Connection, me: str, held: Mapping[str, int]) -> None:
    """Go on only while all of `held` are ours under these very epochs, and keep them ours until this commit.

    The first statement of every transaction with effects of leased work. Raises LeaseLost.
    """
    if not held:
        return
    found = {row.name: row.epoch for row in conn.execute(_HELD, {"me": me, "names": list(held)})}
    for name, epoch in held.items():
        if found.get(name) != epoch:
            raise LeaseLost


def beat(conn: Connection, me: Self) -> None:
    """Say that this gateway lives."""
    at = clock.now(conn)
    conn.execute(_BEAT, {"id": me.id, "name": me.name, "version": me.version, "address": me.address, "at": at})
    conn.execute(_SWEEP, {"before": at - _LONG_GONE})


def leave(conn: Connection, me: str) -> None:
    """This gateway ends, and has given back what it had."""
    conn.execute(_LEAVE, {"me": me})


def count_alive(conn: Connection, *, within_s: float) -> int:
    """How many gateways were seen within `within_s`."""
    return int(conn.execute(_COUNT, {"since": clock.now(conn) - timedelta(seconds=within_s)}).scalar_one())


def members(conn: Connection) -> list[Member]:
    """Every gateway that was seen lately, dead ones too, the longest running first."""
    held: dict[str, list[str]] = {}
    for row in conn.execute(select(leases.c.name, leases.c.owner).order_by(leases.c.name)):
        held.setdefault(row.owner, []).append(row.name)
    now = clock.now(conn)
    return [
        Member(
            id=row.id,
            name=row.name,
            version=row.version,
            address=row.address,
            started_at=row.started_at,
            seen_at=row.seen_at,
            age_s=(now - row.seen_at).total_seconds(),
            holds=tuple(held.get(row.id, ())),
        )
        for row in conn.execute(select(gateways).order_by(gateways.c.started_at, gateways.c.id))
    ]
