"""What keeps the journal in order behind the work: the audit chain, the daily purge, the keys of documents."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, Row

from radbridge import __version__
from radbridge.audit import Note, What
from radbridge.config import Site
from radbridge.config.audit import Audit
from radbridge.errors import JournalError
from radbridge.journal import Journal, audit, cursors, purge, sealing
from radbridge.journal.audit import Head
from radbridge.journal.purge import Cut, Kind
from radbridge.metrics import Metrics
from radbridge.wire import Worker

log = structlog.get_logger(__name__)

LOOK_S = 0.5
"""How often what waits for the chain is looked for."""
CHAIN_AT_ONCE = 100
"""Events chained in one transaction: the writer has others waiting."""
YIELD_S = 10.0
"""How long the chain waits for acknowledging to need less time."""
RETRY_S = 1.0
TEND_S = 60.0

IsPressed = Callable[[], bool]


class Chainer:
    """Moves notes into the chain, and tells its end to the log; one in a cluster."""

    name = "chainer"

    def __init__(self, journal: Journal, settings: Audit, *, is_pressed: IsPressed = lambda: False) -> None:
        self._journal = journal
        self._head_every_s = settings.head_every_s
        self._is_pressed = is_pressed
        self._told = Head()

    async def run(self) -> None:
        """Chain until cancelled."""
        clock = asyncio.get_running_loop().time
        tell_at = clock()
        while True:
            try:
                done = await self._chain_some()
                if clock() >= tell_at:
                    await self._tell()
                    tell_at = clock() + self._head_every_s
            except JournalError:
                log.exception("journal unavailable", retry_in_s=RETRY_S)
                await asyncio.sleep(RETRY_S)
            else:
                if done < CHAIN_AT_ONCE:
                    await asyncio.sleep(LOOK_S)

    async def _chain_some(self) -> int:
        waiting, _ = await self._journal.read(audit.pending)
        if not waiting:
            return 0
        await _yield_to_peers(self._is_pressed)
        return await self._journal.write(_chain, CHAIN_AT_ONCE)

    async def _tell(self) -> None:
        """Whoever keeps the log keeps what the chain must still hold then."""
        head = await self._journal.read(audit.head)
        if head != self._told:
            log.info("audit head", seq=head.seq, head=head.hash.hex())
            self._told = head


class Purger:
    """Takes away what a site keeps no longer, once a day; one in a cluster."""

    name = "purge"

    def __init__(
        self, journal: Journal, site: Site, *, metrics: Metrics, is_pressed: IsPressed = lambda: False
    ) -> None:
        self._journal = journal
        self._site = site
        self._metrics = metrics
        self._is_pressed = is_pressed

    async def run(self) -> None:
        """Purge at its hour, until cancelled. A gateway that was down at that hour waits for the next day's."""
        await self._journal.write(_begin_purging, None)
        while True:
            await asyncio.sleep(self._seconds_left(datetime.now().astimezone()))
            try:
                await self.purge(datetime.now(UTC))
            except JournalError:
                log.exception("the purge stopped; what is left goes tomorrow")

    async def purge(self, now: datetime) -> Counter[str]:
        """One run; how many rows went, by kind."""
        cut = make_cut(self._site, now)
        gone = Counter[str]()
        for kind in purge.KINDS:
            while rows := await self._take_some(kind, cut):
                gone[kind.name] += rows
                self._metrics.purged.labels(kind.name).inc(rows)
                await _yield_to_peers(self._is_pressed)
        note = Note(at=datetime.now(UTC), what=What.PURGED, detail=purge.tell(gone))
        await self._journal.write(_end_purge, note)
        await asyncio.to_thread(purge.finish, self._site.store.url)
        log.info("purged", rows=gone.total())
        return gone

    async def _take_some(self, kind: Kind, cut: Cut) -> int:
        rows = await self._journal.read(partial(purge.look, kind=kind, cut=cut))
        return await self._journal.write(_purge, (kind, cut, rows)) if rows else 0

    def _seconds_left(self, now: datetime) -> float:
        """To the hour that comes next, in local time."""
        at = datetime.combine(now.date(), self._site.retention.time_of_day).astimezone()
        if at <= now:
            at = datetime.combine(now.date() + timedelta(days=1), self._site.retention.time_of_day).astimezone()
        return (at - now).total_seconds()


class KeyTender:
    """Counts what was sealed and learns of new keys; in every gateway."""

    name = "sealing"

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def run(self) -> None:
        """Tend until cancelled; once more at the end, so that nothing stays uncounted."""
        try:
            while True:
                await asyncio.sleep(TEND_S)
                await self._tend()
        finally:
            await self._tend()

    async def _tend(self) -> None:
        try:
            await self._journal.write(_tend, None)
        except JournalError:
            log.exception("journal unavailable", retry_in_s=TEND_S)


def leased_workers(
    site: Site, journal: Journal, *, metrics: Metrics, is_pressed: IsPressed = lambda: False
) -> list[Worker]:
    """The workers that only one gateway of a cluster runs."""
    workers: list[Worker] = [Chainer(journal, site.audit, is_pressed=is_pressed)]
    if site.retention.is_on:
        workers.append(Purger(journal, site, metrics=metrics, is_pressed=is_pressed))
    return workers


def own_workers(site: Site, journal: Journal) -> list[Worker]:
    """The workers that every gateway runs."""
    return [KeyTender(journal)] if site.encryption.is_on else []


def note_of(what: What) -> Note:
    """What this gateway itself has done: it started, or stops."""
    return Note(at=datetime.now(UTC), what=what, detail={"version": __version__})


async def note_end(journal: Journal) -> None:
    """A journal that can't be written any more is no reason not to stop."""
    try:
        await journal.write(audit.record, note_of(What.STOPPED))
    except JournalError:
        log.exception("journal unavailable")


def make_cut(site: Site, now: datetime) -> Cut:
    """What may go at a site now."""
    return Cut(retention=site.retention, now=now, syslog=site.audit.syslog.address is not None)


async def _yield_to_peers(is_pressed: IsPressed) -> None:
    """Somebody waits for an acknowledgement: they go first, for a while."""
    loop = asyncio.get_running_loop()
    end = loop.time() + YIELD_S
    while is_pressed() and loop.time() < end:  # noqa: ASYNC110 - a burst of messages has no end to wait for
        await asyncio.sleep(LOOK_S)


def _chain(conn: Connection, items: Sequence[int]) -> list[int]:
    return [audit.chain_pending(conn, at_most) for at_most in items]


def _purge(conn: Connection, items: Sequence[tuple[Kind, Cut, Sequence[Row[Any]]]]) -> list[int]:
    return [purge.take(conn, kind, cut, rows) for kind, cut, rows in items]


def _begin_purging(conn: Connection, items: Sequence[None]) -> list[None]:
    cursors.begin(conn, cursors.PURGE)
    return [None] * len(items)


def _end_purge(conn: Connection, notes: Sequence[Note]) -> list[None]:
    cursors.done(conn, cursors.PURGE)
    return audit.record(conn, notes)


def _tend(conn: Connection, items: Sequence[None]) -> list[None]:
    if (sealer := sealing.sealer_of(conn.dialect)) is not None:
        sealer.tend(conn)
    return [None] * len(items)
