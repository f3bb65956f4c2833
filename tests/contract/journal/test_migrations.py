"""A journal of any released version comes up to the present shape and keeps what is in it."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Boolean, Connection, DateTime, Float, Integer, LargeBinary, MetaData, Table
from sqlalchemy.exc import DBAPIError

from radbridge.journal import Journal, memory, messages
from radbridge.journal.buckets import ALL, bucket_of
from radbridge.journal.schema import metadata
from radbridge.journal.stores import Stores, migrate, open_store
from tests.support.journals import received, upgrade

RELEASED = [f"{n:04}" for n in range(1, 10)]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).replace(tzinfo=None)
CASE = b'{"signer":{"id":"900001"},"signed_at":"2026-03-01T12:00:00Z"}'


def tables_of(conn: Connection) -> list[Table]:
    found = MetaData()
    found.reflect(conn)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def value_of(table: Table, name: str, number: int) -> Any:
    """Something that fits the column."""
    fixed = {"state": {"message": "accepted", "delivery": "pending", "case": "signed", "memory": "kept"}}
    if name == "document" and table.name == "case":
        return CASE
    if name in fixed and table.name in fixed[name]:
        return fixed[name][table.name]
    kind = table.c[name].type
    for type_, value in ((Boolean, True), (Integer | Float, number), (LargeBinary, b"\x00\xff"), (DateTime, NOON)):
        if isinstance(kind, type_):
            return value
    return f"{table.name}.{name} {number}"


def fill(conn: Connection) -> dict[str, list[dict[str, Any]]]:
    """Two rows in every table; what they hold."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for table in tables_of(conn):
        rows[table.name] = [{c.name: value_of(table, c.name, n) for c in table.columns} for n in (1, 2)]
        conn.execute(table.insert(), rows[table.name])
    return rows


@pytest.mark.parametrize("revision", RELEASED)
def test_an_older_journal_keeps_what_is_in_it(unmade: Stores, revision: str) -> None:
    """With rows in every table of a released version, nothing is lost and nothing changes but what has to."""
    upgrade(unmade, revision)
    with unmade.begin() as conn:
        before = fill(conn)
    migrate(unmade.writer)
    with unmade.begin() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
        tables = {table.name: table for table in tables_of(conn)}
        for name, rows in before.items():
            if name == "memory":
                continue
            columns = [tables[name].c[column] for column in rows[0]]
            key = next(iter(tables[name].primary_key.columns))
            found = conn.execute(tables[name].select().with_only_columns(*columns).order_by(key)).mappings().all()
            assert [dict(row) for row in found] == rows, name
        remembered = {(row.accession, row.issuer): row for row in conn.execute(tables["memory"].select())}
        kept = ("kept", b"\x00\xff") if revision >= "0007" else ("waiting", b"")  # scrubbed anew by 0007
        assert {(row.state, row.document) for row in remembered.values()} == {kept}
        assert len(remembered) == 2
        [first, second] = messages.waiting(conn, buckets=ALL, at_most=9)
        buckets = conn.exec_driver_sql("SELECT bucket FROM delivery ORDER BY seq").scalars().all()
        if revision >= "0008":  # they were dealt out before
            assert [first.bucket, second.bucket] == [1, 2] == buckets
        else:
            assert [first.bucket, second.bucket] == [bucket_of(f"message.accession {n}") for n in (1, 2)]
            assert buckets == [bucket_of(f"delivery.accession {n}") for n in (1, 2)]


def test_migrations_end_at_the_schema(stores: Stores) -> None:
    """A database brought up by the migrations has the very tables that the code reads."""
    with stores.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []


def test_signed_reports_of_old_wait_to_be_remembered(unmade: Stores) -> None:
    """Signed cases of a journal without a style memory are found, with the time at which each was signed."""
    upgrade(unmade, "0005")
    with unmade.begin() as conn:
        fill(conn)
    migrate(unmade.writer)
    with unmade.begin() as conn:
        assert len(memory.waiting(conn, 9)) == 2
        assert memory.forget_before(conn, NOON.replace(tzinfo=UTC)) == 0
        assert memory.forget_before(conn, NOON.replace(tzinfo=UTC, second=1)) == 2


def test_doubles_of_old(unmade: Stores) -> None:
    """Should a journal hold the same bytes of a sender twice, both stay, and a third copy is a duplicate."""
    upgrade(unmade, "0007")
    with unmade.begin() as conn:
        [table] = [t for t in tables_of(conn) if t.name == "message"]
        (row, _) = fill(conn)["message"]
        same = row | {"sender_key": "RIS\x1f1", "digest": hashlib.sha256(b"raw").hexdigest()}
        states = {11: "done", 12: "done", 13: "rejected"}
        conn.execute(table.insert(), [same | {"id": id, "state": state} for id, state in states.items()])
    migrate(unmade.writer)
    with unmade.begin() as conn:
        (accepted,) = messages.accept(conn, [received("1")])
        assert (accepted.id, accepted.new) == (11, False)
        assert conn.exec_driver_sql("SELECT count(*) FROM message WHERE sender_key LIKE 'RIS%%'").scalar_one() == 3


def test_a_running_gateway_of_before(unmade: Stores) -> None:
    """Whoever still writes the columns of the version before this one can do so while it is replaced."""
    upgrade(unmade, RELEASED[-1])
    with unmade.begin() as conn:
        old = tables_of(conn)
    migrate(unmade.writer)
    with unmade.begin() as conn:
        for table in old:
            conn.execute(table.insert(), {c.name: value_of(table, c.name, 3) for c in table.columns})


async def test_two_at_once(empty_url: str) -> None:
    """Two gateways that start on an empty database at the same moment both find it made."""
    opened = await asyncio.gather(*(Journal.open(empty_url) for _ in range(3)))
    for journal in opened:
        await journal.close()
    open_store(empty_url).dispose()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_the_trail_is_only_appended_to(stores: Stores) -> None:
    """PostgreSQL itself refuses to change an audit event, and to delete one outside of a purge."""
    insert = "INSERT INTO audit_event VALUES (1, now(), 'w', 'a', 'e', '', '', '')"
    with stores.begin() as conn:
        conn.exec_driver_sql(insert)
    for change in ("UPDATE audit_event SET actor = 'b'", "DELETE FROM audit_event"):
        with pytest.raises(DBAPIError, match="appended"), stores.begin() as conn:
            conn.exec_driver_sql(change)
    with stores.begin() as conn:
        conn.exec_driver_sql("SET LOCAL radbridge.purge = 'on'")
        assert conn.exec_driver_sql("DELETE FROM audit_event").rowcount == 1


STUMBLE = """
CREATE SEQUENCE tries;
CREATE FUNCTION stumble() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN IF nextval('tries') = 1 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; END $$;
CREATE EVENT TRIGGER stumble ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION stumble()
"""


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_a_deadlock_with_a_running_gateway(unmade: Stores) -> None:
    """Where the server breaks a migration off so that an older gateway's transaction goes on, it is tried again."""
    upgrade(unmade, RELEASED[-1])
    with unmade.open_apart() as apart:
        apart.execute(STUMBLE)
    migrate(unmade.writer)
    with unmade.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
