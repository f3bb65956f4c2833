"""The journal on SQLite: one file, one gateway, one writer."""

from __future__ import annotations

import fcntl
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import cache
from itertools import chain
from pathlib import Path
from sqlite3 import SQLITE_BUSY, Error
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError

from radbridge.errors import ConfigError, JournalError
from radbridge.journal.schema import messages
from radbridge.journal.tables.core import ARRIVING

_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
"""FULL: a commit is on the disk when it returns, which is what an ACK promises (rule 1).

secure_delete: what was deleted or sealed doesn't stay in the file until something else needs the room.
"""
_VALUES = 999
"""That one statement takes; SQLite before 3.32 takes no more."""
_AT_ONCE = _VALUES // (1 + len(ARRIVING))
"""Rows that one statement adds: nearly a whole group of the journal's."""
_STATEMENTS = 256
"""Prepared ones that a connection keeps: there is one for each size of a group, twice."""
_PRIMARY = 0xFF
"""Of an error's number: what it is, without the details."""
_WAIT_S = 30.0
"""How long another program's transaction is waited for."""


def make_engine(url: URL, *, begin: str) -> Engine:
    """An engine whose transactions begin so: `BEGIN` reads one snapshot, `BEGIN IMMEDIATE` is the only writer.

    A transaction that reads first and writes then would lose what another program wrote between the two, if the first
    write were what begins it; that is Python's own way.
    """
    # An error names its statement, and no value: that may be PHI, and tracebacks are logged.
    arguments = {"timeout": _WAIT_S, "isolation_level": None, "cached_statements": _STATEMENTS}
    engine = create_engine(url, connect_args=arguments, hide_parameters=True)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", lambda conn: _execute(conn, begin, ()))
    return engine


def make_folder(url: URL) -> None:
    """The folder that the file is to be in. Raises JournalError."""
    if not url.database or url.database == ":memory:":
        return
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"the journal's folder can't be made: {error.strerror}; set [store] url") from None


def claim(url: URL) -> ExitStack:
    """Be the only gateway on the file until this is closed, or the process ends. Raises ConfigError."""
    with ExitStack() as held:
        if url.database and url.database != ":memory:":
            lock = held.enter_context(Path(f"{url.database}.gateway").open("a"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                problem = f"store.url: another gateway has {url.database} open; several gateways need one PostgreSQL"
                raise ConfigError([problem]) from None
        return held.pop_all()


def _prepare(connection: Any, _record: Any) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def is_locked(error: OperationalError) -> bool:
    """Whether another program has the file for longer than is waited for."""
    return getattr(error.orig, "sqlite_errorcode", 0) & _PRIMARY == SQLITE_BUSY


def find_used(conn: Connection, keys: Collection[str]) -> set[str]:
    """Which of these keys senders have used before; each costs the same, however often it was used."""
    return {key for (key,) in _run(conn, _use(len(keys)), tuple(keys)).rows}


def find_messages(conn: Connection, names: Collection[tuple[str, str]]) -> Sequence[Sequence[Any]]:
    """Id, sender's key, digest, answer and reply, as stored, of the messages of these keys and digests."""
    return conn.exec_driver_sql(_search(len(names)), tuple(part for name in names for part in name)).fetchall()


@cache
def _use(count: int) -> str:
    there = "SELECT 1 FROM message WHERE sender_key = column1 AND state <> 'rejected'"
    return f"SELECT column1 FROM (VALUES {_marks(count, '(?)')}) AS new WHERE EXISTS ({there})"  # noqa: S608 - marks


@cache
def _search(count: int) -> str:
    wanted = _marks(count, "(?, ?)")
    return (
        "SELECT id, sender_key, digest, ack, reply FROM message"  # noqa: S608 - marks
        f" WHERE state <> 'rejected' AND (sender_key, digest) IN (VALUES {wanted})"
    )


def _marks(count: int, mark: str) -> str:
    return ", ".join([mark] * count)


def add_messages(conn: Connection, received_at: datetime, rows: Sequence[tuple[Any, ...]]) -> range:
    """Store new messages, in the order of ARRIVING; their ids."""
    at = _time_writer()(received_at)
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        values = tuple(chain.from_iterable((at, *row) for row in some))
        last = _run(conn, _addition(len(some)), values).lastrowid
    return range(last - len(rows) + 1, last + 1)  # one writer, and AUTOINCREMENT counts by one


@cache
def _addition(count: int) -> str:
    """One statement for a whole group: Python's lock is let go of and taken again for each step of a statement.

    FAIL: without a copy of each page for the case that only some rows can be stored. Then none is: see `Lane`.
    No `?1` for the time that all share: some Pythons 3.12 warn of it.
    """
    row = f"(?, 'accepted', '', {', '.join('?' * len(ARRIVING))})"
    columns = f"received_at, state, reason, {', '.join(ARRIVING)}"
    return f"INSERT OR FAIL INTO message ({columns}) VALUES {_marks(count, row)}"  # noqa: S608 - our own names


class _Done(NamedTuple):
    """What a statement gave, and the number of the last row that the connection added."""

    rows: Sequence[tuple[Any, ...]]
    lastrowid: int


def _run(conn: Connection, statement: str, values: tuple[Any, ...]) -> _Done:
    """Run a statement of the hot path past SQLAlchemy, which takes longer over it than SQLite. Raises its errors."""
    if not conn.in_transaction():
        conn.begin()  # as SQLAlchemy does at the first statement: each would be committed alone
    return _execute(conn, statement, values)


def _execute(conn: Connection, statement: str, values: tuple[Any, ...]) -> _Done:
    try:
        cursor = conn.connection.cursor()
        cursor.execute(statement, values)
        return _Done(cursor.fetchall(), cursor.lastrowid)
    except Error as error:
        known = DBAPIError.instance(statement, values, error, Error, hide_parameters=True, dialect=conn.dialect)
        raise known from error


@cache
def _insertion(columns: tuple[str, ...], table: str) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our names


@cache
def _time_writer() -> Any:
    from sqlalchemy.dialects.sqlite import dialect

    return messages.c.received_at.type.bind_processor(dialect())


def add_instances(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Store the DICOM objects that aren't there yet; how many that were. Five hundred slices come one by one."""
    write_time = _time_writer()
    values = [tuple(write_time(value) if name == "received_at" else value for name, value in r.items()) for r in rows]
    columns = tuple(rows[0])
    return conn.exec_driver_sql(_insertion(columns, "dicom_instance") + " ON CONFLICT DO NOTHING", values).rowcount
