"""Writers that put everything that waits into one transaction: group commit.

    op(conn, items) -> results               what a write is: a function of a connection and a list
    await journal.write(op, item)            queued; returns after the commit that holds it
    await journal.write_first(op, item)      the same, before all that is queued by `write`: a peer waits for its ACK
    journal.put_first(op, item) -> future    the same, for whoever hangs a callback on it

Whatever is queued while a commit is under way goes into the next one together, so sixteen connections cost one fsync,
not sixteen. Neighbours with the same `op` reach it as one list.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from radbridge.config.encryption import Encryption
from radbridge.config.store import Store
from radbridge.errors import JournalLost
from radbridge.journal import messages
from radbridge.journal.lanes import Lane, Outage, Write
from radbridge.journal.stores import Stores, explain, open_store
from radbridge.meter import JournalMeter
from radbridge.wire import Item, Operation, Result

if TYPE_CHECKING:
    from radbridge.journal.postgres import Apart


AT_ONCE_S = 1.0
"""A read that fails within this time met a dead connection, and not a server that says nothing."""


class Journal:
    """A journal, open for one process. Use `await Journal.open(store)`."""

    def __init__(self, stores: Stores, claim: ExitStack, meter: JournalMeter) -> None:
        self._stores = stores
        self._claim = claim
        self._first: deque[Write] = deque()
        self._behind: deque[Write] = deque()
        # SQLite has one writer. Elsewhere an ACK needn't wait for what another case's draft does.
        lines = ([self._first], [self._behind]) if stores.is_shared else ([self._first, self._behind],)
        self._reads: set[asyncio.Future[Any]] = set()
        self._no_answer = Outage()
        """Of reads alone: whoever writes is told by the lanes' own."""
        outage = Outage()
        loop = asyncio.get_running_loop()
        alone = messages.accept if stores.is_shared else None  # SQLite's commit goes no way
        self._lanes = [
            Lane(stores.writer, line, outage, is_first=n == 0, alone=alone, loop=loop, meter=meter)
            for n, line in enumerate(lines)
        ]

    @classmethod
    async def open(
        cls,
        store: Store | str,
        *,
        encryption: Encryption | None = None,
        meter: JournalMeter | None = None,
        alone: bool = False,
    ) -> Journal:
        """Open, and bring an older database to the current shape. Raises ConfigError, JournalError with what to do.

        `alone`: as a gateway, of which a file has one; a command beside it isn't one.
        """
        stores = await asyncio.to_thread(open_store, store, encryption)
        try:
            claim = stores.claim() if alone else ExitStack()
        except BaseException:
            stores.dispose()
            raise
        journal = cls(stores, claim, meter or _Unmetered())
        for lane in journal._lanes:
            lane.start()
        return journal

    @property
    def is_shared(self) -> bool:
        """Whether other gateways may have the same journal open."""
        return self._stores.is_shared

    def connect(self) -> Apart:
        """A connection of its own to PostgreSQL, in autocommit. Raises psycopg's errors."""
        return self._stores.open_apart()

    async def write(self, operation: Operation[Item, Result], item: Item) -> Result:
        """Run `operation` with `item`, and maybe others, in the next transaction; return after the commit.

        Raises JournalError when the database refuses, JournalLost when it doesn't answer, and whatever `operation`
        raised. A transaction may be run again, so `operation` does nothing that the database doesn't undo.
        """
        return await self._lanes[-1].put(self._behind, operation, item)

    async def write_first(self, operation: Operation[Item, Result], item: Item) -> Result:
        """`write` for what somebody outside waits for. What waits behind still gets one write into every commit."""
        return await self._lanes[0].put(self._first, operation, item)

    def put_first(self, operation: Operation[Item, Result], item: Item) -> asyncio.Future[Result]:
        """`write_first` without a coroutine. Raises JournalError when the journal is closed."""
        return self._lanes[0].put(self._first, operation, item)

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Run `query` on one moment of the database, off the event loop. Readers never wait for a writer."""
        reading = asyncio.ensure_future(asyncio.to_thread(self.read_now, query))
        self._reads.add(reading)
        reading.add_done_callback(self._reads.discard)
        return await asyncio.shield(reading)  # a thread goes on, though nobody waits for it any more

    def read_now(self, query: Callable[[Connection], Result]) -> Result:
        """`read` for callers that have no event loop, and for queries of microseconds.

        One that waited for a server in vain isn't repeated, and for a moment nobody else waits for it.
        """
        if (lost := self._no_answer.error) is not None:
            raise JournalLost(str(lost))
        began = monotonic()
        try:
            return self._query(query)
        except JournalLost as error:
            if monotonic() - began < AT_ONCE_S:  # maybe no more than a connection that died while nobody used it
                return self._query(query)
            self._no_answer.begin(error)
            raise

    def _query(self, query: Callable[[Connection], Result]) -> Result:
        try:
            with self._stores.reader.connect() as conn:
                return query(conn)
        except SQLAlchemyError as error:
            raise explain(error) from None

    async def close(self) -> None:
        """Commit what is queued, then close."""
        for lane in self._lanes:
            await lane.close()
        if self._reads:
            await asyncio.wait(set(self._reads))
        self._stores.dispose()
        self._claim.close()


class _Unmetered(JournalMeter):
    """For a journal that nobody watches."""

    def committed(self, size: int) -> None: ...

    def retried(self, reason: str) -> None: ...

    def journal_is(self, *, up: bool) -> None: ...
