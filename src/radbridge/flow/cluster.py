"""The share of the work that this gateway has, where several are on one journal.

Each gateway says every third of a lease that it lives and keeps what it has. Work that is nobody's, or whose owner went
silent, is taken up to a fair share; above its share a gateway gives away what it isn't in the middle of. One that can't
reach the database lets go of everything by itself, before anybody else may take it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from time import monotonic

import structlog
from sqlalchemy import Connection

from radbridge.errors import JournalError
from radbridge.flow.wake import Alarm
from radbridge.journal import Journal, leases
from radbridge.metrics import Metrics
from radbridge.wire import Bells, Kind

log = structlog.get_logger(__name__)

ROUNDS = 3
"""In a lease."""
TRUSTED = 2 / 3
"""Of a lease: without a renewal for so long nothing is held any more, whoever may have taken it."""
STOP_S = 10.0
"""What work under way gets to end in when the gateway stops."""
TOPIC = "lease"
"""Rung when a gateway gave something away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Round:
    """What a round came to."""

    epochs: Mapping[str, int]
    """Of all that is ours now, what is to be given away included."""
    taken: Sequence[leases.Taken]
    surplus: frozenset[str]
    alive: int


class ClusterHolder:
    """A `radbridge.wire.Holder` by leases in PostgreSQL."""

    def __init__(self, journal: Journal, me: leases.Self, *, lease_s: float, metrics: Metrics, bells: Bells) -> None:
        """`me` is who holds it, new with each start."""
        self.alarm = Alarm()
        """Rung when somebody gave something away: maybe there is more to take."""
        self._journal = journal
        self._me = me
        self._names: dict[Kind, frozenset[str]] = dict.fromkeys(Kind, frozenset())
        self._lease_s = lease_s
        self._metrics = metrics
        self._bells = bells
        self._held: dict[str, int] = {}
        self._leaving = frozenset[str]()
        """Ours still, and not to be begun with any more."""
        self._used = Counter[str]()
        self._orphans: set[str] = set()
        self._renewed_at = -lease_s
        self._callbacks: list[Callable[[], None]] = []
        bells.on(TOPIC, lambda _: self.alarm.ring())

    @property
    def is_sole(self) -> bool:
        """Others may be there, now or later."""
        return False

    @property
    def name(self) -> str:
        """Of this worker."""
        return "holder"

    def held(self, kind: Kind) -> Mapping[str, int]:
        """The names held now, each with the epoch it is held in; none when the last renewal is too long ago."""
        if not self._is_trusted:
            return {}
        mine = self._names[kind] - self._leaving
        return {name: epoch for name, epoch in self._held.items() if name in mine}

    def keeps(self, held: Mapping[str, int]) -> bool:
        """Whether these are ours still, in these very epochs."""
        return self._is_trusted and all(self._held.get(name) == epoch for name, epoch in held.items())

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback` called whenever what is held has changed."""
        self._callbacks.append(callback)

    def fence(self, conn: Connection, held: Mapping[str, int]) -> None:
        """Raises LeaseLost when any of these is another's now."""
        leases.fence(conn, self._me.id, held)

    @contextmanager
    def using(self, names: Sequence[str]) -> Iterator[None]:
        """Keep these names until the work under them is over."""
        self._used.update(names)
        try:
            yield
        finally:
            self._used.subtract(names)
            if not self._leaving.isdisjoint(names):
                self.alarm.ring()

    def pop_orphans(self) -> frozenset[str]:
        """What was taken from gateways that died over it, told once: its first message may be why."""
        orphans, self._orphans = frozenset(self._orphans), set()
        return orphans

    async def start(self, names: Iterable[str]) -> None:
        """Take a share. Raises JournalError.

        `names` are all that there is to hold, whoever has it; every gateway of a cluster has the same ones.
        """
        everything = frozenset(names)
        self._names = {kind: frozenset(n for n in everything if n.startswith(f"{kind}:")) for kind in Kind}
        await self._journal.write(_prepare, everything)
        await self._turn()

    async def run(self) -> None:
        """Keep what is ours and see to a fair share, until cancelled."""
        while True:
            await self.alarm.wait(self._lease_s / ROUNDS)
            try:
                await self._turn()
            except JournalError:
                log.exception("leases can't be renewed", retry_in_s=self._lease_s / ROUNDS)
                self._tell()
                await asyncio.sleep(min(1.0, self._lease_s / ROUNDS))

    async def stop(self) -> None:
        """Let work under way end, then give everything back: others take it at once."""
        self._leaving = frozenset(self._held)
        self._tell()
        end = monotonic() + STOP_S
        while self._in_use(self._leaving) and (left_s := end - monotonic()) > 0:
            await self.alarm.wait(left_s)
        await self._journal.write(_leave, (self._me.id, frozenset(self._held) - self._in_use(self._leaving)))
        self._held = {}
        self._bells.ring(TOPIC)

    async def _turn(self) -> None:
        """One round: renew, then take or give."""
        began = monotonic()
        found = await self._journal.write_first(self._work, None)
        self._renewed_at = began
        self._held = dict(found.epochs)
        self._leaving = found.surplus
        self._metrics.gateways_alive.set(found.alive)
        if found.taken:
            log.info("leases taken", count=len(found.taken))
        if orphans := {t.name for t in found.taken if not t.clean}:
            log.warning("a gateway went silent; its work is taken over", count=len(orphans))
            self._metrics.takeovers.inc()
            self._orphans |= orphans
        self._tell()
        if idle := self._leaving - self._in_use(self._leaving):
            await self._journal.write(_release, (self._me.id, idle))
            self._held = {name: epoch for name, epoch in self._held.items() if name not in idle}
            self._leaving -= idle
            self._bells.ring(TOPIC)

    def _work(self, conn: Connection, items: Sequence[None]) -> list[_Round]:
        leases.beat(conn, self._me)
        epochs = leases.renew(conn, self._me.id, lease_s=self._lease_s)
        alive = leases.count_alive(conn, within_s=self._lease_s)
        taken: list[leases.Taken] = []
        surplus: set[str] = set()
        for names in self._names.values():
            share = ceil(len(names) / alive)
            mine = sorted(names & epochs.keys(), key=lambda name: (self._used[name] <= 0, name))
            surplus |= set(mine[share:])  # those first that nobody is in the middle of
            at_most = share - len(mine)
            taken += leases.take(conn, self._me.id, names, at_most=at_most, lease_s=self._lease_s)
        epochs |= {t.name: t.epoch for t in taken}
        found = _Round(epochs=epochs, taken=taken, surplus=frozenset(surplus), alive=alive)
        return [found] * len(items)

    @property
    def _is_trusted(self) -> bool:
        return monotonic() - self._renewed_at <= self._lease_s * TRUSTED

    def _in_use(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(name for name in names if self._used[name] > 0)

    def _tell(self) -> None:
        """Metrics always, callbacks always: a change that nobody noticed costs more than a look for nothing."""
        for kind in Kind:
            self._metrics.leases.labels(kind).set(len(self.held(kind)))
        for callback in self._callbacks:
            callback()


def _prepare(conn: Connection, items: Sequence[frozenset[str]]) -> list[None]:
    for names in items:
        leases.prepare(conn, names)
    return [None] * len(items)


def _release(conn: Connection, items: Sequence[tuple[str, frozenset[str]]]) -> list[None]:
    for me, names in items:
        leases.release(conn, me, names)
    return [None] * len(items)


def _leave(conn: Connection, items: Sequence[tuple[str, frozenset[str]]]) -> list[None]:
    for me, names in items:
        leases.release(conn, me, names)
        leases.leave(conn, me)
    return [None] * len(items)
