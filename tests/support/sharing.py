"""Gateways that share a PostgreSQL, in one process: what is behind their listeners, without the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sqlalchemy import Connection, text

from radbridge.case import CaseKey
from radbridge.config.store import Flow
from radbridge.flow.applying import Translate
from radbridge.flow.cluster import ClusterHolder
from radbridge.flow.holding import SoleHolder, cases_lease
from radbridge.flow.process import Processor
from radbridge.journal import Journal, cases, leases, messages
from radbridge.journal.bells import LocalBells
from radbridge.journal.buckets import ALL
from radbridge.metrics import Metrics
from radbridge.wire import Received
from tests.support.flow import translate
from tests.support.postgres import the_cluster

NAMES = frozenset(cases_lease(bucket) for bucket in ALL)
_ids = count(1)


class Elsewhere(SoleHolder):
    """Everything is another gateway's."""

    @property
    def is_sole(self) -> bool:
        """It isn't."""
        return False


@dataclass
class Member:
    """One gateway."""

    id: str
    journal: Journal
    bells: LocalBells = field(default_factory=LocalBells)
    metrics: Metrics = field(default_factory=Metrics)
    lease_s: float = 600.0

    def __post_init__(self) -> None:
        """The holder of its leases."""
        me = leases.Self(id=self.id, name=self.id, version="1")
        self.holder = ClusterHolder(self.journal, me, lease_s=self.lease_s, metrics=self.metrics, bells=self.bells)

    def processor(self, wire: Translate = translate, rules: Flow | None = None) -> Processor:
        """Its processor, which looks often."""
        return Processor(
            self.journal,
            {"test": wire},
            settle_s=0.0,
            metrics=self.metrics,
            on_change=lambda: None,
            rules=rules,
            holder=self.holder,
            pop_orphans=self.holder.pop_orphans,
            poll_s=0.02,
        )

    async def say(self, *, touches: tuple[str, ...] = (), padding: int = 0, **fact: object) -> int:
        """Take a message in; its id."""
        received = Received(
            wire="test",
            peer="peer",
            sender="RIS",
            control_id=str(next(_ids)),
            kind="T",
            accession=str(fact.get("accession", "A1")),
            touches=touches,
            raw=json.dumps(fact).encode() + b" " * padding,
            ack=b"AA",
        )
        return (await self.journal.write_first(messages.accept, received)).id

    def state(self, message_id: int) -> str:
        """What became of a message."""
        return str(self.journal.read_now(lambda conn: messages.state_of(conn, message_id)))

    def findings(self, accession: str = "A1") -> str:
        """The text of a case."""
        case = self.journal.read_now(lambda conn: cases.load(conn, CaseKey(accession=accession)))
        return case.report.findings if case else ""

    async def forget(self, member: str) -> None:
        """Somebody went silent long ago, as the database has it."""

        def age(conn: Connection, items: Sequence[str]) -> list[None]:
            for id in items:
                for sql in (
                    "UPDATE lease SET until = until - interval '1 day' WHERE owner = :id",
                    "UPDATE gateway SET seen_at = seen_at - interval '1 hour' WHERE id = :id",
                ):
                    conn.execute(text(sql), {"id": id})
            return [None] * len(items)

        await self.journal.write(age, member)


@asynccontextmanager
async def members(*ids: str) -> AsyncIterator[list[Member]]:
    """Gateways on one new database, with bells that all of them hear.

    A lease is so long that no test waits for a round: it rings a holder's alarm for one.
    """
    cluster = the_cluster()
    url = cluster.url(cluster.database())
    async with AsyncExitStack() as stack:
        found = []
        bells = LocalBells()
        for id in ids:
            journal = await Journal.open(url)
            stack.push_async_callback(journal.close)
            found.append(Member(id, journal, bells))
        yield found


@asynccontextmanager
async def at_work(*runs: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """These run meanwhile."""
    tasks = [asyncio.create_task(run()) for run in runs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    """Wait for the condition."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)
