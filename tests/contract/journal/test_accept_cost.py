"""What an acknowledgement costs doesn't grow with what is stored."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from radbridge.errors import SealBroken
from radbridge.flow.intake import JournalIntake
from radbridge.journal import Journal, messages, postgres
from radbridge.journal.sqlite import _addition
from radbridge.journal.stores import Stores
from radbridge.metrics import Metrics
from tests.support.journals import received
from tests.support.sharing import until

GROUPS, GROUP, WHOLE = 120, 16, 64


def read_by_index(conn: Connection) -> int:
    """Entries that statements have read from the index which duplicates are told by."""
    conn.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    asked = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'message_by_sender'"
    return int(conn.exec_driver_sql(asked).scalar_one())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_control_id_that_is_used_again_and_again(conn: Connection) -> None:
    """A sender that gives all its messages one id costs no more with the thousandth of them, new or repeated."""
    costs: list[int] = []
    for n in range(1000):
        with steps_of(conn) as steps:
            messages.accept(conn, [received("1", f"{n}".encode())])
            assert not messages.accept(conn, [received("1", b"0")])[0].new or n == 0
        costs.append(len(steps))
    assert costs[-1] < 2 * costs[10]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_group_is_stored_by_one_statement(conn: Connection) -> None:
    """However many messages come in together, SQLite is asked once which ids are used, and told once what is new."""
    statements: list[str] = []
    driver: Any = conn.connection.dbapi_connection
    driver.set_trace_callback(statements.append)
    added = messages.accept(conn, [received(f"{n}") for n in range(GROUP)])
    driver.set_trace_callback(None)
    assert [statement.split()[0] for statement in statements] == ["SELECT", "INSERT"]
    assert [one.id for one in added] == list(range(added[0].id, added[0].id + GROUP))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_more_than_one_statement_holds(conn: Connection) -> None:
    """What is too much for one statement gets its ids in order all the same."""
    driver: Any = conn.connection.dbapi_connection
    driver.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)  # as it is built where nobody has raised it
    accepted = messages.accept(conn, [received(f"{n}", f"{n}".encode()) for n in range(2500)])
    stored = conn.exec_driver_sql("SELECT id, raw FROM message ORDER BY id").all()
    assert [(one.id, f"{n}".encode()) for n, one in enumerate(accepted)] == [tuple(row) for row in stored]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_any_sqlite_takes_a_group(conn: Connection) -> None:
    """A whole group is stored with no more values than old SQLites take, and without numbers that a Python warns of."""
    driver: Any = conn.connection.dbapi_connection
    driver.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
    assert len(messages.accept(conn, [received(f"{n}") for n in range(WHOLE)])) == WHOLE
    assert not re.search(r"\?\d", _addition(WHOLE))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_is_not_committed_is_not_stored(stores: Stores) -> None:
    """The hot statements are part of a transaction, whoever begins it: what isn't committed leaves nothing."""
    with stores.writer.connect() as conn:
        assert messages.accept(conn, [received("1")])[0].new
    with stores.writer.begin() as conn:
        assert messages.accept(conn, [received("1")])[0].new


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_refusal_quotes_nothing(conn: Connection) -> None:
    """A hot statement that SQLite refuses is SQLAlchemy's error, without what was to be stored (rule 5)."""
    conn.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(OperationalError) as refused:
        messages.accept(conn, [received("1", b"DOE^JANE")])
    conn.exec_driver_sql("PRAGMA query_only = OFF")
    assert "DOE" not in f"{refused.value} {refused.value.__cause__}"


@contextmanager
def steps_of(conn: Connection) -> Iterator[list[None]]:
    """One entry for every ten steps of SQLite's machine."""
    steps: list[None] = []
    driver: Any = conn.connection.dbapi_connection
    driver.set_progress_handler(lambda: steps.append(None), 10)
    yield steps
    driver.set_progress_handler(None, 10)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_used_control_id_on_postgresql(stores: Stores) -> None:
    """There a repeated message reads its own row, and not all those of its sender's id."""
    with stores.writer.begin() as conn:
        messages.accept(conn, [received("1", f"{n}".encode()) for n in range(500)])
    with stores.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        before = read_by_index(conn)
        assert not messages.accept(conn, [received("1", b"7")])[0].new
        assert read_by_index(conn) - before < 50


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_plan_made_for_an_empty_table_stays_a_good_one(stores: Stores) -> None:
    """A server that has counted no row yet reads a new message's key alone, not the whole table once for a group."""
    for group in range(GROUPS):
        with stores.writer.begin() as conn:
            messages.accept(conn, [received(f"{group}.{n}") for n in range(GROUP)])
    with stores.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        read_by_index(conn)
        assert read_by_index(conn) <= 2 * GROUPS * GROUP
        assert conn.exec_driver_sql("SELECT count(*) FROM message").scalar_one() == GROUPS * GROUP


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_a_group_asks_the_server_once(journal: Journal) -> None:
    """What stores messages commits them as well: no COMMIT goes to the server and back behind it."""
    await asyncio.gather(*(journal.put_first(messages.accept, received(f"{n}")) for n in range(GROUP)))
    asked = "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND ltrim(query, E'\\n') LIKE %s"
    states = await journal.read(
        lambda conn: conn.exec_driver_sql(asked, ("INSERT INTO message %",)).scalars().all(),
    )
    assert states == ["idle"]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_what_stands_beside_others_is_one_transaction(journal: Journal) -> None:
    """A message that shares its commit with a write that fails is stored all the same, once, and in its order."""

    def fail(conn: Connection, items: Sequence[str]) -> list[None]:
        raise ValueError(items)

    futures = [journal.put_first(messages.accept, received("1"))]
    failing = journal.put_first(fail, "no")
    futures.append(journal.put_first(messages.accept, received("2")))
    first, second = await asyncio.gather(*futures)
    with pytest.raises(ValueError, match="no"):
        await failing
    assert (first.new, second.new, first.id < second.id) == (True, True, True)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_stored_and_not_told(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """New messages that were stored before their group met an error are applied at once, though they look repeated."""
    find, rung, held, go_on = postgres.find_messages, list[None](), threading.Event(), threading.Event()

    def hold(conn: Connection, items: Sequence[None]) -> list[None]:
        held.set()
        go_on.wait()
        return [None] * len(items)

    def fail_once(conn: Connection, names: Collection[tuple[str, str]]) -> Sequence[Sequence[Any]]:
        monkeypatch.setattr(postgres, "find_messages", find)
        raise SealBroken

    await journal.write_first(messages.accept, received("0"))
    monkeypatch.setattr(postgres, "find_messages", fail_once)
    desk = JournalIntake(journal, Metrics(), lambda: rung.append(None))
    holding = journal.put_first(hold, None)
    await until(held.is_set)
    group = [desk.put(received(id)) for id in ("0", "1", "2")]
    go_on.set()
    await asyncio.gather(holding, *group)
    assert len(rung) == len(group)
