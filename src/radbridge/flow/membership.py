"""This gateway's place among those that share its journal: who it is, what it holds, and what wakes it.

On SQLite it is alone: it holds everything, and its bells are heard in its own process.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog
from sqlalchemy import Connection

from radbridge import __version__
from radbridge.config.store import Cluster
from radbridge.errors import JournalError
from radbridge.flow.cluster import ClusterHolder
from radbridge.flow.holding import SoleHolder, cases_lease, worker_lease
from radbridge.flow.wake import Alarm
from radbridge.journal import Journal, leases
from radbridge.journal.bells import LocalBells, PostgresBells
from radbridge.journal.buckets import ALL
from radbridge.metrics import Metrics
from radbridge.wire import Bells, Holder, Kind, Worker

log = structlog.get_logger(__name__)

WORKER_PAUSE_S = 1.0
"""Before a worker that failed is started again."""
LOOK_S = 0.5
"""How often it is looked whether a worker's lease is still held."""


class Membership:
    """One gateway among those on its journal, or the only one."""

    name = "membership"

    def __init__(self, journal: Journal, settings: Cluster, *, metrics: Metrics, address: str) -> None:
        """`address` is what its HTTP port is bound to."""
        self._journal = journal
        self._lease_s = settings.lease_s
        self._me = leases.Self(
            id=secrets.token_hex(8), name=settings.name or socket.gethostname(), version=__version__, address=address
        )
        self._bells: LocalBells = (
            PostgresBells(journal.connect, asyncio.get_running_loop(), self._me.id)
            if journal.is_shared
            else LocalBells()
        )
        self._sole = SoleHolder()
        self._cluster = (
            ClusterHolder(journal, self._me, lease_s=settings.lease_s, metrics=metrics, bells=self._bells)
            if journal.is_shared
            else None
        )

    @property
    def id(self) -> str:
        """Of this gateway, new with each start; empty where it is the only one."""
        return self._me.id if self._cluster else ""

    @property
    def bells(self) -> Bells:
        """What wakes this gateway and tells the others."""
        return self._bells

    @property
    def holder(self) -> Holder:
        """What this gateway may work on."""
        return self._cluster or self._sole

    @property
    def pop_orphans(self) -> Callable[[], frozenset[str]] | None:
        """What was taken from gateways that died over it; None where there never was another one."""
        return self._cluster.pop_orphans if self._cluster else None

    async def start(self, names: Iterable[str]) -> None:
        """Be there, with a share of the buckets and of `names`. Raises JournalError."""
        everything = frozenset(names) | {cases_lease(bucket) for bucket in ALL}
        await self.beat()
        if isinstance(self._bells, PostgresBells):
            self._bells.start()
        if self._cluster:
            await self._cluster.start(everything)
        else:
            self._sole.add(everything)

    async def beat(self) -> None:
        """Commit that this gateway lives. Raises JournalError where it can't."""
        await self._journal.write(_beat, self._me)

    async def run(self) -> None:
        """Keep the place, until cancelled."""
        if self._cluster:
            await self._cluster.run()
        while True:
            await asyncio.sleep(self._lease_s)
            await self.beat()

    async def stop(self) -> None:
        """Give everything back, so that others go on at once."""
        try:
            if self._cluster:
                await self._cluster.stop()
            else:
                await self._journal.write(_leave, self._me)
        except JournalError:
            log.warning("leases can't be given back; they run out by themselves", exc_info=True)
        if isinstance(self._bells, PostgresBells):
            await self._bells.close()


async def keep(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Start something again and again: one part that fails must not end the gateway (rule 4)."""
    while True:
        try:
            await run()
            log.error("a worker ended; starting it again", task=name, retry_in_s=WORKER_PAUSE_S)
        except Exception:  # whatever it is, the other workers and the gateway go on (rule 4)
            log.exception("a worker failed; starting it again", task=name, retry_in_s=WORKER_PAUSE_S)
        await asyncio.sleep(WORKER_PAUSE_S)


async def keep_leased(worker: Worker, holder: Holder) -> None:
    """`keep` it while its lease is this gateway's: of all of a cluster one runs it."""
    lease, changed = worker_lease(worker.name), Alarm()
    holder.on_change(changed.ring)
    while True:
        while lease not in holder.held(Kind.WORKER):
            await changed.wait()
        work = asyncio.create_task(keep(worker.name, worker.run), name=worker.name)
        try:
            while lease in holder.held(Kind.WORKER):
                await changed.wait(None if holder.is_sole else LOOK_S)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


def _beat(conn: Connection, items: Sequence[leases.Self]) -> list[None]:
    for me in items:
        leases.beat(conn, me)
    return [None] * len(items)


def _leave(conn: Connection, items: Sequence[leases.Self]) -> list[None]:
    for me in items:
        leases.leave(conn, me.id)
    return [None] * len(items)
