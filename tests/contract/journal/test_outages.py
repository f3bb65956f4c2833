"""PostgreSQL goes away and comes back: who waits is told at once, and everything goes on by itself."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection

from radbridge.config.store import Store
from radbridge.errors import JournalError, JournalLost, StoreRefused
from radbridge.journal import Journal, messages
from radbridge.journal.stores import open_store
from tests.support.journals import count, received
from tests.support.postgres import Cluster, the_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server of our own, that may be killed."""
    the_cluster()  # skips where there is none
    with Cluster() as made:
        yield made


@pytest.fixture
async def journal(cluster: Cluster) -> AsyncIterator[Journal]:
    opened = await Journal.open(cluster.url(cluster.database()))
    yield opened
    await opened.close()


async def until_it_writes(journal: Journal, control_id: str) -> messages.Accepted:
    """As a sender does that gets an AE: again, until it is taken."""
    while True:
        try:
            return await journal.write_first(messages.accept, received(control_id))
        except JournalLost:
            await asyncio.sleep(0.05)


async def test_a_killed_server(cluster: Cluster, journal: Journal) -> None:
    """Killed in the midst of writes, it loses nothing that was acknowledged; the journal goes on without a restart."""
    acknowledged: list[str] = []
    nacked = asyncio.Event()

    async def send(line: int) -> None:
        for n in itertools.count():  # as long as it stands
            try:
                await journal.write_first(messages.accept, received(f"{line}-{n}"))
            except JournalLost:
                nacked.set()
                return
            acknowledged.append(f"{line}-{n}")

    async with asyncio.TaskGroup() as sending:
        for line in range(4):
            sending.create_task(send(line))
        while len(acknowledged) < 40:
            await asyncio.sleep(0)
        await asyncio.to_thread(cluster.kill)
    assert nacked.is_set()
    with pytest.raises(JournalError, match="store"):
        await journal.read(count)
    await asyncio.to_thread(cluster.start)
    assert (await until_it_writes(journal, "last")).new
    there = await journal.read(lambda conn: {k.split("\x1f")[1] for k in _keys(conn)})
    assert there >= {*acknowledged, "last"}
    for id in acknowledged[-20:]:
        assert not (await journal.write_first(messages.accept, received(id))).new


def _keys(conn: Connection) -> list[str]:
    return list(conn.exec_driver_sql("SELECT sender_key FROM message").scalars())


async def test_nobody_waits_for_a_dead_server(cluster: Cluster, journal: Journal) -> None:
    """All that is queued when the server is found dead is told so together, not one after the other."""
    asked: list[int] = []

    def note(conn: Connection, items: Sequence[int]) -> list[None]:
        asked.append(len(items))
        count(conn)
        return [None] * len(items)

    await journal.write_first(note, 0)
    asked.clear()
    await asyncio.to_thread(cluster.kill)
    writes = [journal.put_first(note, n) for n in range(200)]
    found = await asyncio.gather(*writes, return_exceptions=True)
    await asyncio.to_thread(cluster.start)
    assert {type(f) for f in found} == {JournalLost}
    assert len(asked) <= 4  # no write was tried alone
    assert (await until_it_writes(journal, "1")).new


async def test_nobody_reads_from_a_silent_server_twice(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that broke at once is tried again; behind one that waited in vain nobody else waits for a moment."""
    tries = 0

    def fail(_: Connection) -> None:
        nonlocal tries
        tries += 1
        raise JournalLost

    monkeypatch.setattr("radbridge.journal.journal.AT_ONCE_S", 600.0)  # whatever the machine does meanwhile
    monkeypatch.setattr("radbridge.journal.lanes._OUTAGE_S", 600.0)
    with pytest.raises(JournalLost):
        await journal.read(fail)
    assert tries == 2
    monkeypatch.setattr("radbridge.journal.journal.AT_ONCE_S", 0.0)  # as if each try took longer
    for _ in range(2):
        with pytest.raises(JournalLost):
            await journal.read(fail)
    assert tries == 3


async def test_a_lost_connection_is_no_poison(
    cluster: Cluster, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that an administrator ends costs its transaction JournalLost, and a read nothing at all."""
    monkeypatch.setattr("radbridge.journal.journal.AT_ONCE_S", 600.0)  # a slow machine is no silent server
    with cluster.connect("postgres") as conn:
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'radbridge'"
        await journal.read(count)
        conn.execute(ours)
        assert await journal.read(count) == 0
        await until_it_writes(journal, "1")
        conn.execute(ours)
        await until_it_writes(journal, "1")
    assert await journal.read(count) == 1


async def test_a_server_that_takes_no_writes_any_more(journal: Journal) -> None:
    """A connection on which the server refuses writes is used no more, though it answers: the next is a new one."""
    used: list[int] = []

    def write(conn: Connection, items: Sequence[None]) -> list[None]:
        used.append(conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        if len(used) == 1:
            conn.exec_driver_sql("SET TRANSACTION READ ONLY")
        conn.exec_driver_sql("UPDATE secret SET name = name")
        return [None] * len(items)

    with pytest.raises(JournalLost):
        await journal.write_first(write, None)
    await until_it_writes(journal, "1")
    await journal.write_first(write, None)
    assert used[1] != used[0]


async def test_a_primary_that_became_a_replica(cluster: Cluster, journal: Journal) -> None:
    """A replica is neither written to nor read from; once it is the primary, the journal goes on without a restart."""
    await until_it_writes(journal, "1")
    await asyncio.to_thread(cluster.become_replica)
    for _ in range(3):
        with pytest.raises(JournalError):
            await journal.read(count)
        with pytest.raises(JournalLost):
            await journal.write_first(messages.accept, received("2"))
    with cluster.connect("postgres") as conn:
        conn.execute("SELECT pg_promote()")
    assert (await until_it_writes(journal, "2")).new
    assert await journal.read(count) == 2


@pytest.mark.parametrize(("setting", "value"), [("fsync", "off"), ("full_page_writes", "off")])
def test_a_server_that_forgets(cluster: Cluster, setting: str, value: str) -> None:
    """A server whose files a crash may tear is refused, with the setting's name."""
    name = cluster.empty_database()
    with cluster.connect("postgres") as conn:
        conn.execute(f"ALTER SYSTEM SET {setting} = {value}")
        conn.execute("SELECT pg_reload_conf()")
        try:
            with cluster.connect("postgres") as other:
                while other.execute(f"SHOW {setting}").fetchone() != (value,):
                    pass
            with pytest.raises(StoreRefused, match=setting):
                open_store(cluster.url(name))
        finally:
            conn.execute(f"ALTER SYSTEM RESET {setting}")
            conn.execute("SELECT pg_reload_conf()")


def test_a_server_in_a_hurry(cluster: Cluster) -> None:
    """A database whose sessions don't wait for the disk is written to by sessions that do."""
    name = cluster.empty_database()
    with cluster.connect("postgres") as conn:
        conn.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    stores = open_store(cluster.url(name))
    with stores.begin() as conn_:
        assert conn_.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    stores.dispose()


def test_a_server_that_ends_idle_sessions(cluster: Cluster) -> None:
    """The first message behind a quiet night finds its session there, whatever others of that server are allowed."""
    name = cluster.empty_database()
    with cluster.connect("postgres") as conn:
        conn.execute(f"ALTER DATABASE {name} SET idle_session_timeout = '1min'")
    stores = open_store(cluster.url(name))
    with stores.begin() as writer, stores.connect() as reader, stores.open_apart() as apart:
        found = [conn.exec_driver_sql("SHOW idle_session_timeout").scalar() for conn in (writer, reader)]
        assert [*found, *(apart.execute("SHOW idle_session_timeout").fetchone() or ())] == ["0"] * 3
    stores.dispose()


def test_a_machine_that_lost_its_power(cluster: Cluster) -> None:
    """The server itself looks after sessions apart: else a dead machine's sign of life would last for two hours."""
    stores = open_store(cluster.url(cluster.database()))
    with stores.open_apart() as apart:
        names = ("keepalives_idle", "keepalives_interval", "keepalives_count", "user_timeout")
        found = [apart.execute("SELECT current_setting(%s)::int", (f"tcp_{name}",)).fetchone() for name in names]
        assert found == [(10,), (3,), (3,), (10_000,)]
    stores.dispose()


def test_another_spelling(cluster: Cluster) -> None:
    """A database that spells or sorts otherwise than SQLite is refused, with the command that makes a fitting one."""
    name = cluster.empty_database("TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(StoreRefused, match="--locale=C"):
        open_store(cluster.url(name))


def test_another_order(cluster: Cluster) -> None:
    """A database that sorts as people of some language do, and not by code points as SQLite, is refused likewise."""
    told = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=True).stdout.split()  # noqa: S607 - where it is differs
    spoken = [name for name in told if name.lower().endswith(".utf8") and not name.startswith("C.")]
    if not spoken:
        missing = "this machine speaks no language: apt-get install locales-all"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    name = cluster.empty_database(f"TEMPLATE template0 ENCODING 'UTF8' LOCALE '{spoken[0]}'")
    with pytest.raises(StoreRefused, match="--locale=C"):
        open_store(cluster.url(name))


def test_no_database(cluster: Cluster) -> None:
    """A database that isn't there is told of without a trace of how it was asked for."""
    with pytest.raises(JournalError, match="nowhere"):
        open_store(cluster.url("nowhere"))


def test_a_newer_journal(empty_url: str) -> None:
    """A journal that a newer RadBridge has changed is left alone."""
    stores = open_store(empty_url)
    with stores.begin() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    stores.dispose()
    with pytest.raises(JournalError, match="newer"):
        open_store(empty_url)


def test_ways_to_the_server(cluster: Cluster, tmp_path: Path) -> None:
    """Several hosts, of which the one that takes writes is found; a password from a file, which nothing shows."""
    secret = tmp_path / "password"
    secret.write_text("planted-secret\n")
    url = cluster.url(cluster.database()).replace("@127.0.0.1", "@127.0.0.1,localhost")
    store = Store(url=f"{url}?target_session_attrs=read-write", password_file=secret)
    stores = open_store(store)
    with stores.connect() as conn, stores.open_apart() as apart:
        assert conn.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
        assert apart.execute("SHOW transaction_read_only").fetchone() == ("off",)
    assert "planted" not in repr(stores) + str(stores.reader.url)
    stores.dispose()
