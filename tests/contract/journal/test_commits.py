"""Group commit: what waits together is stored together, in order, and nothing is told before it is on the disk."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from radbridge.config.store import Store
from radbridge.errors import ConfigError, JournalError, JournalLost
from radbridge.journal import Journal, messages
from radbridge.journal.stores import make_stores
from radbridge.metrics import Metrics
from tests.support.journals import count, received


def hold_writer(journal: Journal) -> Callable[[], None]:
    """Keep the writers in their first transaction, so that all a test queues waits; call the result to let go."""
    queued = threading.Event()

    def hold(conn: Connection, items: Sequence[None]) -> list[None]:
        queued.wait()
        return [None] * len(items)

    for write in (journal.write, journal.write_first):
        asyncio.ensure_future(write(hold, None)).add_done_callback(lambda held: held.result())
    return queued.set


async def test_one_commit_for_many(journal: Journal) -> None:
    """Writes that wait together share transactions: a hundred messages cost a handful of commits."""
    commits: list[Connection] = []
    note = commits.append
    event.listen(Engine, "commit", note)
    try:
        release = hold_writer(journal)
        writes = [asyncio.ensure_future(journal.write(messages.accept, received(str(n)))) for n in range(100)]
        await asyncio.sleep(0)
        release()
        await asyncio.gather(*writes)
    finally:
        event.remove(Engine, "commit", note)
    assert journal.read_now(count) == 100
    assert 1 <= len(commits) <= 10


async def test_what_comes_together_is_committed_together(url: str) -> None:
    """Messages that are handed over in one turn of the event loop share one commit: none of them is stored alone."""
    sizes: list[int] = []

    class Meter(Metrics):
        def committed(self, size: int) -> None:
            sizes.append(size)

    journal = await Journal.open(url, meter=Meter())
    futures = []
    for n in range(4):
        futures.append(journal.put_first(messages.accept, received(str(n))))
        time.sleep(0.02)  # noqa: ASYNC251 - the loop is kept in its turn, and the journal's thread may run
    await asyncio.gather(*futures)
    await journal.close()
    assert sizes == [4]


async def test_a_commit_is_on_the_disk(journal: Journal) -> None:
    """The connection that writes waits for its log to be on the disk, whatever is the database's own default."""

    def ask(conn: Connection, items: Sequence[None]) -> list[str]:
        name = "PRAGMA synchronous" if conn.dialect.name == "sqlite" else "SHOW synchronous_commit"
        return [str(conn.exec_driver_sql(name).scalar())] * len(items)

    for write in (journal.write, journal.write_first):
        assert await write(ask, None) in {"2", "on"}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_answers_wait_for_nobody(journal: Journal) -> None:
    """On PostgreSQL a message is acknowledged while a transaction of other work is still open."""
    release = threading.Event()

    def hold(conn: Connection, items: Sequence[None]) -> list[None]:
        messages.accept(conn, [received("behind")])
        release.wait()
        return [None] * len(items)

    behind = asyncio.ensure_future(journal.write(hold, None))
    assert (await journal.write_first(messages.accept, received("first"))).new
    assert not behind.done()
    release.set()
    await behind


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_answers_come_first(journal: Journal) -> None:
    """On SQLite a message that waits for its ACK overtakes a queue of other work, which still gets on meanwhile."""
    order: list[str] = []

    def note(conn: Connection, items: Sequence[str]) -> list[None]:
        order.extend(items)
        return [None] * len(items)

    release = hold_writer(journal)
    behind = [asyncio.ensure_future(journal.write(note, f"behind {n}")) for n in range(400)]
    first = [asyncio.ensure_future(journal.write_first(note, "first")) for _ in range(200)]
    await asyncio.sleep(0)
    release()
    await asyncio.gather(*behind, *first)
    last_first = max(n for n, what in enumerate(order) if what == "first")
    assert last_first < len(order) - 50
    assert order.index("behind 0") < last_first


async def test_one_line_keeps_its_order(journal: Journal) -> None:
    """What one caller queues, one after the other, is stored in that order."""
    writes = [journal.put_first(messages.accept, received(str(n))) for n in range(200)]
    accepted = await asyncio.gather(*writes)
    ids = [a.id for a in accepted]
    assert ids == sorted(ids)


async def test_bad_write_harms_no_other(journal: Journal) -> None:
    """A write that fails is told so; those in the same transaction are stored."""

    def fail(conn: Connection, items: Sequence[None]) -> list[None]:
        raise ZeroDivisionError

    results = await asyncio.gather(
        journal.write(messages.accept, received("1")),
        journal.write(fail, None),
        journal.write(messages.accept, received("2")),
        return_exceptions=True,
    )
    assert [type(r) for r in results] == [messages.Accepted, ZeroDivisionError, messages.Accepted]
    assert journal.read_now(count) == 2


async def test_a_refused_statement_harms_no_other(journal: Journal) -> None:
    """A write that the database refuses gets JournalError without its values; its neighbours are stored."""

    def fail(conn: Connection, items: Sequence[str]) -> list[None]:
        conn.exec_driver_sql("INSERT INTO nowhere VALUES ('DOE^JANE')")
        return [None] * len(items)

    results = await asyncio.gather(
        journal.write(messages.accept, received("1")), journal.write(fail, "x"), return_exceptions=True
    )
    assert isinstance(results[0], messages.Accepted)
    assert isinstance(results[1], JournalError)
    assert "DOE" not in str(results[1])
    assert journal.read_now(count) == 1


async def test_a_closed_journal_refuses(url: str) -> None:
    """What was queued before the close is committed; what comes after it is refused."""
    journal = await Journal.open(url)
    queued = asyncio.ensure_future(journal.write(messages.accept, received("1")))
    await asyncio.sleep(0)
    await journal.close()
    assert (await queued).new
    with pytest.raises(JournalError):
        await journal.write(messages.accept, received("2"))


async def test_reads_see_one_moment(journal: Journal) -> None:
    """What a query reads second is of the same moment as what it reads first, whatever is committed in between."""
    loop = asyncio.get_running_loop()

    def look(conn: Connection) -> tuple[int, int]:
        before = count(conn)
        asyncio.run_coroutine_threadsafe(journal.write(messages.accept, received("1")), loop).result()
        return before, count(conn)

    assert await journal.read(look) == (0, 0)
    assert await journal.read(count) == 1


async def test_a_file_has_one_gateway(tmp_path: Path) -> None:
    """A second gateway on one SQLite file is refused while the first runs; a command beside it is not."""
    url = f"sqlite:///{tmp_path}/radbridge.db"
    first = await Journal.open(url, alone=True)
    with pytest.raises(ConfigError, match="another gateway"):
        await Journal.open(url, alone=True)
    beside = await Journal.open(url)
    await beside.close()
    await first.close()
    again = await Journal.open(url, alone=True)
    await again.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_a_database_has_many_gateways(url: str) -> None:
    """On PostgreSQL any number of gateways may open the journal, and they tell duplicates together."""
    opened = [await Journal.open(url, alone=True) for _ in range(2)]
    ids = [(await j.write_first(messages.accept, received("1"))).id for j in opened]
    assert ids[0] == ids[1]
    for journal in opened:
        await journal.close()


async def test_full_disk_acknowledges_nothing(tmp_path: Path) -> None:
    """When the file is full the write says so and stores nothing; when there is room again it goes on by itself."""
    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")

    def limit(conn: Connection, pages: Sequence[int]) -> list[None]:
        conn.exec_driver_sql(f"PRAGMA max_page_count = {pages[-1]}")
        return [None] * len(pages)

    await journal.write(limit, 1)
    with pytest.raises(JournalError, match="full"):
        await journal.write(messages.accept, received("1", b"x" * 200_000))
    assert journal.read_now(count) == 0
    await journal.write(limit, 100_000)
    assert (await journal.write(messages.accept, received("1"))).new
    await journal.close()


async def test_unusable_place(tmp_path: Path) -> None:
    """A journal that can't be opened says what to look at."""
    (tmp_path / "file").write_text("no database" * 100)
    with pytest.raises(JournalError, match="store"):
        await Journal.open(f"sqlite:///{tmp_path}/file")
    with pytest.raises(JournalError, match="store"):
        await Journal.open(f"sqlite:///{tmp_path}/file/below/radbridge.db")


async def test_who_is_locked_out_waits_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else locks the table, those who wait for an ACK are told together, not each after a time-out."""
    other = make_stores(Store(url=url))
    monkeypatch.setattr("radbridge.journal.sqlite._WAIT_S", 0.2)
    monkeypatch.setattr("radbridge.journal.postgres._SILENT_S", 1)
    journal = await Journal.open(url)
    begun: list[Connection] = []
    note = begun.append
    with other.begin() as conn:
        if other.is_shared:
            conn.exec_driver_sql("LOCK TABLE message")
        event.listen(Engine, "begin", note, insert=True)
        try:
            writes = [journal.put_first(messages.accept, received(str(n))) for n in range(60)]
            found = await asyncio.gather(*writes, return_exceptions=True)
        finally:
            event.remove(Engine, "begin", note)
    assert {type(each) for each in found} == {JournalLost}
    assert len(begun) <= 2  # the first may have been alone
    while not journal.read_now(count):
        with suppress(JournalLost):  # told without asking, for a moment yet
            await journal.write_first(messages.accept, received("1"))
    other.dispose()
    await journal.close()
