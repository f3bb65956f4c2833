"""The trail behind a gateway: noted with each change, chained behind it, by one at a time, and never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection, delete, make_url, update
from sqlalchemy.exc import DatabaseError

from radbridge.audit import What
from radbridge.config.audit import Audit
from radbridge.flow import trail
from radbridge.flow.trail import Chainer
from radbridge.journal import Journal, audit
from radbridge.journal.schema import audit_events
from radbridge.journal.stores import Stores, open_store
from tests.support.gateway import GatewayProcess
from tests.support.ris import Ris
from tests.support.trail import make_note

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def chaining(*journals: Journal) -> AsyncIterator[None]:
    """A chainer on each."""
    tasks = [asyncio.create_task(Chainer(journal, Audit()).run()) for journal in journals]
    yield
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _note(conn: Connection, items: Sequence[int]) -> list[None]:
    for number in items:
        audit.note(conn, [make_note(number)])
    return [None] * len(items)


async def quiet(journal: Journal) -> None:
    async with asyncio.timeout(60):
        while (await journal.read(audit.pending))[0]:
            await asyncio.sleep(0.01)


async def test_two_chainers_make_one_chain(journal: Journal, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should two gateways both think that it is theirs to chain, no event is doubled, lost or out of place."""
    monkeypatch.setattr(trail, "LOOK_S", 0.001)
    monkeypatch.setattr(trail, "CHAIN_AT_ONCE", 7)
    other = await Journal.open(url)
    try:
        async with chaining(journal, other):
            await asyncio.gather(*((journal, other)[n % 2].write(_note, n) for n in range(200)))
            await quiet(journal)
        found = await journal.read(audit.verify)
        assert found.events == 200
        noted = {e.note.entity.accession for e in await journal.read(audit.chained) if e.note.entity}
        assert noted == {f"A{n}" for n in range(200)}
    finally:
        await other.close()


async def test_the_end_of_the_chain_is_told_to_the_log(
    journal: Journal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever keeps the log keeps a head that the chain must still hold."""
    monkeypatch.setattr(trail, "LOOK_S", 0.001)
    await journal.write(_note, 1)
    tasks = asyncio.create_task(Chainer(journal, Audit.model_construct(head_every_s=0.0)).run())
    told = ""
    async with asyncio.timeout(60):
        head = ""
        while not head or head not in told:
            await asyncio.sleep(0.005)
            told += capsys.readouterr().out
            end = await journal.read(audit.head)
            head = end.hash.hex() if end.seq else ""
    tasks.cancel()
    with suppress(asyncio.CancelledError):
        await tasks


def test_a_chaining_that_breaks_off_loses_nothing(stores: Stores) -> None:
    """What was moved and not committed still waits, and is chained once by the next."""
    with stores.begin() as conn:
        _note(conn, range(5))
    with suppress(ZeroDivisionError), stores.begin() as conn:
        audit.chain_pending(conn)
        raise ZeroDivisionError
    with stores.connect() as conn:
        assert audit.verify(conn).pending == 5
    with stores.begin() as conn:
        assert audit.chain_pending(conn) == 5
    with stores.connect() as conn:
        assert audit.verify(conn).events == 5


@pytest.mark.parametrize("statement", [update(audit_events).values(actor="nobody"), delete(audit_events)])
def test_postgresql_refuses_to_change_an_event(stores: Stores, statement: object) -> None:
    """Not even our own account changes an event or takes it out, but for a purge."""
    with stores.begin() as conn:
        _note(conn, range(2))
        audit.chain_pending(conn)
    if not stores.is_shared:
        return  # SQLite has no account that could be refused
    with pytest.raises(DatabaseError, match="only appended to"), stores.begin() as conn:
        conn.execute(statement)  # type: ignore[call-overload]  # an update or a deletion


def test_a_note_that_is_committed_late_is_chained(stores: Stores, url: str) -> None:
    """A transaction that took its number first and commits last loses its note to nobody."""
    if make_url(url).get_backend_name() == "sqlite":
        return  # one writer: nothing commits out of order
    other = open_store(url)
    with other.begin() as early:
        _note(early, [1])
        with stores.begin() as conn:
            _note(conn, [2])
        with stores.begin() as conn:
            assert audit.chain_pending(conn) == 1
    with stores.begin() as conn:
        assert audit.chain_pending(conn) == 1
    other.dispose()


async def test_what_was_noted_survives_a_kill(tmp_path: Path) -> None:
    """SIGKILL in the middle: after a restart every applied message has its one note, and the chain is whole."""
    gateway = GatewayProcess(tmp_path, model='url = "http://127.0.0.1:9"')
    await gateway.start(ready=False)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.hl7_port)
        for n in range(40):
            writer.write(b"\x0b" + Ris(accession=f"T{n}").dictated() + b"\x1c\r")
        for _ in range(40):
            assert b"\rMSA|AA|" in await reader.readuntil(b"\x1c\r")
        gateway.kill()
        writer.close()
        assert gateway.process is not None
        await gateway.process.wait()
        await gateway.start(ready=False)
        await gateway.until("SELECT count(*) FROM message WHERE state = 'done'", 40)
        await gateway.until("SELECT count(*) FROM audit_pending", 0)
    finally:
        await gateway.stop()
    stores = open_store(gateway.store_url)
    with stores.begin() as conn:
        audit.chain_pending(conn)
    with stores.connect() as conn:
        found = audit.verify(conn)
        notes = [event.note for event in audit.chained(conn, at_most=found.events)]
    stores.dispose()
    taken = [n.entity.accession for n in notes if n.what is What.MESSAGE_TAKEN and n.entity]
    assert sorted(taken) == sorted(f"T{n}" for n in range(40))
    assert [n.what for n in notes].count(What.STARTED) == 2
    assert notes[-1].what is What.STOPPED
