"""A lane: a thread that commits what is queued, one transaction at a time, so that its order is kept."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from radbridge.errors import JournalError, JournalLost
from radbridge.journal import sqlite
from radbridge.journal.postgres import is_locked, is_lost, retry_reason
from radbridge.journal.stores import explain
from radbridge.meter import JournalMeter
from radbridge.wire import Item, Operation, Result

MAX_GROUP = 64
"""Writes in one transaction: bounds how long the first of them waits."""
_RETRIES = 3
_RETRY_S = 0.01
"""Up to so long before a transaction that met another one is run again, and longer each time."""
_OUTAGE_S = 0.5
"""For so long after the database was lost nobody asks it: each who waits for an ACK is told at once."""


@dataclass(slots=True)
class Write:
    """One queued write."""

    operation: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    item: Any
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = field(default=None)


class Outage:
    """Whether the database was lost a moment ago; the lanes of a journal share one."""

    def __init__(self) -> None:
        self._error: JournalLost | None = None
        self._until = 0.0

    def begin(self, error: JournalLost) -> None:
        """Spare others the wait for an answer."""
        self._error, self._until = error, time.monotonic() + _OUTAGE_S

    @property
    def error(self) -> JournalLost | None:
        """What to tell without asking; None: ask."""
        return self._error if time.monotonic() < self._until else None


class Lane:
    """Commits its lines, the first of which goes before the others.

    What fails is dealt with by its kind. A transaction that met another gateway's is run again. If the database is
    lost, all of it is told so at once. Otherwise each write is tried alone, so that one bad write harms no other.
    """

    def __init__(
        self,
        engine: Engine,
        lines: Sequence[deque[Write]],
        outage: Outage,
        *,
        is_first: bool = False,
        alone: Operation[Any, Any] | None = None,
        loop: asyncio.AbstractEventLoop,
        meter: JournalMeter,
    ) -> None:
        """`is_first`: senders wait for what it commits, and are told at once when somebody else locks them out.

        `alone` writes by one statement, which is a transaction by itself: of neighbours of its kind nothing else is
        asked, and two of three ways to the server and back are spared.
        """
        self._engine = engine
        self._alone = alone
        self._by_statement = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._is_first = is_first
        self._lines = lines
        self._outage = outage
        self._loop = loop
        self._meter = meter
        self._work = threading.Condition()
        self._closed = False
        self._is_rung = False
        self._conns: dict[Engine, Connection] = {}
        """Kept from one transaction to the next: to take one from the pool and give it back costs as much as an ACK."""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Begin to commit."""
        self._thread.start()

    def put(self, line: deque[Write], operation: Operation[Item, Result], item: Item) -> asyncio.Future[Result]:
        """Queue a write; on the loop, as all that isn't `_run`. Raises JournalError when the lane is closed."""
        if self._closed:
            raise JournalError
        future: asyncio.Future[Result] = self._loop.create_future()
        line.append(Write(operation, item, future))
        if not self._is_rung:
            self._is_rung = True
            self._loop.call_soon(self._ring)
        return future

    def _ring(self) -> None:
        """Wake the thread for all that came in this turn of the loop: woken by the first, it would commit it alone."""
        self._is_rung = False
        with self._work:
            self._work.notify()

    async def close(self) -> None:
        """Commit what is queued, then end."""
        self._closed = True
        self._ring()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while group := self._next_group():
            self._commit(group)
            self._loop.call_soon_threadsafe(_settle, group)
        self._let_go()

    def _next_group(self) -> list[Write]:
        """What goes into the next commit; empty when the lane is closed and all is written."""
        with self._work:
            self._work.wait_for(lambda: any(self._lines) or self._closed)
            group: list[Write] = []
            for line in self._lines:
                share = 1 if group else MAX_GROUP
                group += [line.popleft() for _ in range(min(len(line), share))]
            return group

    def _commit(self, group: Sequence[Write]) -> None:
        """Have each write of the group stored, or its error noted."""
        for attempt in range(_RETRIES + 1):
            error = self._outage.error or self._try(group)
            if error is None:
                self._meter.committed(len(group))
                self._meter.journal_is(up=True)
                return
            reason = retry_reason(error) if isinstance(error, SQLAlchemyError) else ""
            if not reason or attempt == _RETRIES:
                break
            self._meter.retried(reason)
            time.sleep(random.uniform(0, _RETRY_S * 2**attempt))  # noqa: S311 - jitter
        known = explain(error) if isinstance(error, SQLAlchemyError) else error
        if self._is_first and isinstance(error, OperationalError) and (sqlite.is_locked(error) or is_locked(error)):
            known = JournalLost(str(known))  # each write alone would wait as long, and so would the sender of the last
        if isinstance(known, JournalLost):
            self._lose(group, known)
        elif len(group) > 1:
            for write in group:
                self._commit([write])
        else:
            group[0].error = known
            if isinstance(error, OperationalError):
                self._meter.journal_is(up=False)

    def _lose(self, group: Sequence[Write], error: JournalLost) -> None:
        if self._outage.error is None:
            self._outage.begin(error)
            self._meter.journal_is(up=False)
        for write in group:
            write.error = JournalLost(str(error))

    def _try(self, group: Sequence[Write]) -> Exception | None:
        """One transaction with all of it. A commit that got no answer may stand: whoever repeats it is told apart."""
        alone = self._alone is not None and all(write.operation is self._alone for write in group)
        engine = self._by_statement if alone else self._engine
        try:
            conn = self._conns.get(engine) or self._conns.setdefault(engine, engine.connect())
            with conn.begin():
                for operation, writes in groupby(group, key=lambda w: w.operation):
                    neighbours = list(writes)
                    results = operation(conn, [w.item for w in neighbours])
                    for write, result in zip(neighbours, results, strict=True):
                        write.result = result
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits for this write
            self._let_go(is_broken=isinstance(error, SQLAlchemyError) and is_lost(error))
            return error
        return None

    def _let_go(self, *, is_broken: bool = False) -> None:
        """Of connections: what went wrong on one is nobody's else. One to a server that was lost is used no more."""
        conns, self._conns = self._conns, {}
        for conn in conns.values():
            with suppress(SQLAlchemyError):
                if is_broken:  # it may answer well, and be a replica's by now
                    conn.invalidate()
                conn.close()


def _settle(group: Sequence[Write]) -> None:
    for write in group:
        if write.future.done():
            continue  # whoever waited was cancelled; the write stands
        if write.error is not None:
            write.future.set_exception(write.error)
        else:
            write.future.set_result(write.result)
