"""One writer thread, one transaction for everything that waits: group commit.

    op(conn, items) -> results               what a write is: a function of a connection and a list
    await journal.write(op, item)            queued; returns after the commit that holds it
    await journal.write_first(op, item)      the same, before all that is queued by `write`: a peer waits for its ACK

Whatever is queued while a commit is under way goes into the next one together, so sixteen connections cost one fsync,
not sixteen. Neighbours with the same `op` reach it as one list. If a transaction fails, each of its writes is tried
alone, so that one bad write harms no other.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from radbridge.errors import JournalError
from radbridge.wire import Item, Operation, Result

MAX_GROUP = 64
"""Writes in one transaction: bounds how long the first of them waits."""


@dataclass(slots=True)
class _Write:
    operation: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    item: Any
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = field(default=None)


class Journal:
    """A journal on SQLite, open for one process. Use `await Journal.open(url)`."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._first: deque[_Write] = deque()
        self._behind: deque[_Write] = deque()
        self._work = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    @classmethod
    async def open(cls, url: str) -> Journal:
        """Open, and bring an older file to the current shape. Raises JournalError with what to do."""
        engine = await asyncio.to_thread(open_engine, url)
        journal = cls(engine, asyncio.get_running_loop())
        journal._thread.start()
        return journal

    async def write(self, operation: Operation[Item, Result], item: Item) -> Result:
        """Run `operation` with `item`, and maybe others, in the next transaction; return after the commit.

        Raises JournalError when the database refuses, and whatever `operation` raised.
        """
        return await self._put(self._behind, operation, item)

    async def write_first(self, operation: Operation[Item, Result], item: Item) -> Result:
        """`write` for what somebody outside waits for. What waits behind still gets one write into every commit."""
        return await self._put(self._first, operation, item)

    async def _put(self, line: deque[_Write], operation: Operation[Item, Result], item: Item) -> Result:
        future: asyncio.Future[Result] = self._loop.create_future()
        with self._work:
            if self._closed:
                raise JournalError
            line.append(_Write(operation, item, future))
            self._work.notify()
        return await future

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Run `query` on a connection of its own, off the event loop. Readers never wait for the writer (WAL)."""
        return await asyncio.to_thread(self.read_now, query)

    def read_now(self, query: Callable[[Connection], Result]) -> Result:
        """`read` for callers that have no event loop, and for queries of microseconds."""
        try:
            with self._engine.connect() as conn:
                return query(conn)
        except SQLAlchemyError as error:
            raise JournalError(describe(error)) from None

    async def close(self) -> None:
        """Commit what is queued, then close."""
        with self._work:
            self._closed = True
            self._work.notify()
        await asyncio.to_thread(self._thread.join)
        self._engine.dispose()

    def _run(self) -> None:
        while group := self._next_group():
            self._commit(group)
            self._loop.call_soon_threadsafe(_settle, group)

    def _next_group(self) -> list[_Write]:
        """What goes into the next commit; empty when the journal is closed and all is written."""
        with self._work:
            self._work.wait_for(lambda: self._first or self._behind or self._closed)
            group = [self._first.popleft() for _ in range(min(len(self._first), MAX_GROUP))]
            share = 1 if group else MAX_GROUP
            group += [self._behind.popleft() for _ in range(min(len(self._behind), share))]
            return group

    def _commit(self, group: Sequence[_Write]) -> None:
        try:
            with self._engine.begin() as conn:
                for operation, writes in groupby(group, key=lambda w: w.operation):
                    neighbours = list(writes)
                    results = operation(conn, [w.item for w in neighbours])
                    for write, result in zip(neighbours, results, strict=True):
                        write.result = result
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits for this write
            if len(group) > 1:
                for write in group:
                    self._commit([write])
            elif isinstance(error, SQLAlchemyError):
                group[0].error = JournalError(describe(error))
            else:
                group[0].error = error


def _settle(group: Sequence[_Write]) -> None:
    for write in group:
        if write.future.done():
            continue  # whoever waited was cancelled; the write stands
        if write.error is not None:
            write.future.set_exception(write.error)
        else:
            write.future.set_result(write.result)


def describe(error: SQLAlchemyError) -> str:
    """What went wrong in the database, without the values of the statement: they may hold PHI."""
    cause = getattr(error, "orig", None) or error
    kind = type(cause).__name__
    known = str(cause) if kind in {"OperationalError", "DatabaseError"} else ""
    return f"the journal can't be used ({kind}{': ' + known if known else ''}); check the disk and [store] url"


def open_engine(url: str) -> Engine:
    """An engine on `url` whose schema is current."""
    parsed = make_url(url)
    if parsed.database and parsed.database != ":memory:":
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(f"the journal's folder can't be made: {error.strerror}; set [store] url") from None
    engine = create_engine(parsed, connect_args={"timeout": 30.0})
    event.listen(engine, "connect", _prepare)
    try:
        migrate(engine)
    except SQLAlchemyError as error:
        engine.dispose()
        raise JournalError(describe(error)) from None
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    """FULL: a commit is on the disk when it returns, which is what an ACK promises (rule 1)."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def migrate(engine: Engine) -> None:
    """Bring the schema up to the current revision."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every start that nothing is to be done
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
