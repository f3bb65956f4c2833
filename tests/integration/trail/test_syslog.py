"""Every event of the trail reaches the audit repository, in its order, over TLS with certificates on both sides."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import Connection, select

from radbridge.config import Site
from radbridge.errors import DeliveryFailed
from radbridge.journal import Journal, audit
from radbridge.journal.schema import cursors
from radbridge.wire import Desk, Wire
from radbridge_adapters.syslog import forwarder, wire
from tests.support.certificates import Authority
from tests.support.mllp import until
from tests.support.rsyslog import Rsyslog
from tests.support.trail import make_note

_NUMBER = re.compile(r'sequenceId="(\d+)"')


class Peer:
    """A repository that reads frames by their lengths, and closes after so many where it is told to."""

    def __init__(self) -> None:
        self.serving = dict[asyncio.Task[None], asyncio.StreamWriter]()
        self.numbers: list[list[int]] = []
        """By connection."""
        self.close_after = 10**9
        self.may_close = asyncio.Event()
        self.may_close.set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving[asyncio.ensure_future(self._serve(reader, writer))] = writer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got: list[int] = []
        self.numbers.append(got)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while len(got) < self.close_after:
                size = int((await reader.readuntil(b" "))[:-1])
                message = (await reader.readexactly(size)).decode()
                found = _NUMBER.search(message)
                assert found is not None
                got.append(int(found[1]))
        await self.may_close.wait()
        writer.transport.abort()

    @property
    def all(self) -> set[int]:
        return {number for got in self.numbers for number in got}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def peer(authority: Authority) -> AsyncIterator[tuple[Peer, int]]:
    """A repository that wants a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("repository"))
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    made = Peer()
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0, ssl=context)
    yield made, server.sockets[0].getsockname()[1]
    server.close()
    for one, writer in made.serving.items():  # one that outlived the loop would fail whatever test comes then
        one.cancel()
        writer.transport.abort()
    await asyncio.gather(*made.serving, return_exceptions=True)


def wire_to(journal: Journal, port: int, authority: Authority, **more: object) -> Wire:
    settings = {
        "address": f"127.0.0.1:{port}",
        "ca_file": authority.ca,
        "cert_file": authority.issue("gateway"),
        **more,
    }
    site = Site(audit=cast("Any", {"syslog": settings}))
    return wire(site, cast("Desk", SimpleNamespace(store=journal)))


@asynccontextmanager
async def working(made: Wire) -> AsyncIterator[None]:
    (worker,) = made.leased
    task = asyncio.create_task(worker.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _add(conn: Connection, items: Sequence[int]) -> list[None]:
    for count in items:
        audit.note(conn, [make_note(n) for n in range(count)])
        while audit.chain_pending(conn):
            pass
    return [None] * len(items)


def _read(conn: Connection) -> int | None:
    return conn.execute(select(cursors.c.seq)).scalar()


async def test_rsyslog_gets_every_event(
    journal: Journal, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rsyslog, with a certificate asked of us, reads every frame as one message of RFC 5424, in order."""
    monkeypatch.setattr(forwarder, "LAST_RETRY_S", 0.2)  # however long it takes to start
    folder = tmp_path / "rsyslog"
    folder.mkdir()
    repository = Rsyslog(folder, ca=authority.ca, own=authority.issue("repository"))
    repository.start()
    try:
        await journal.write(_add, 250)
        async with working(wire_to(journal, repository.port, authority)):
            await until(lambda: len(repository.lines) >= 250)
    finally:
        repository.stop()
    numbers = [int(found[1]) for line in repository.lines if (found := _NUMBER.search(line))]
    assert numbers == list(range(1, 251))
    first = repository.lines[0]
    assert first.startswith("85 IHE+RFC-3881 ")
    assert first.endswith("</AuditMessage>")
    assert 'ParticipantObjectID="A0"' in first


async def test_what_a_broken_connection_may_have_lost_goes_again(
    journal: Journal, authority: Authority, peer: tuple[Peer, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository that closes in the middle gets, by the next connection, all that it may have missed.

    However late anybody looks: the cursor stands at 40 before it can close, and never above the 150 that it has read.
    """
    monkeypatch.setattr(forwarder, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(forwarder, "AT_ONCE", 140)
    monkeypatch.setattr(forwarder, "BEHIND", 100)
    monkeypatch.setattr(forwarder, "ARRIVES_S", 600.0)
    repository, port = peer
    repository.close_after = 150
    await journal.write(_add, 250)
    async with working(wire_to(journal, port, authority)):
        await until(lambda: len(repository.numbers) > 1)
        repository.close_after = 10**9
        await until(lambda: repository.all == set(range(1, 251)))
    assert repository.numbers[0] == list(range(1, 151))
    assert any(got and got[0] > 1 for got in repository.numbers[1:])


async def test_what_a_connection_swallowed_goes_again(
    journal: Journal, authority: Authority, peer: tuple[Peer, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository that stops reading while it catches up, and breaks off then, gets all that it hadn't read."""
    monkeypatch.setattr(forwarder, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(forwarder, "ARRIVES_S", 600.0)
    read, after = audit.chained, set[int]()

    def chained(conn: Connection, **where: Any) -> Any:
        after.add(where["after"])
        return read(conn, **where)

    monkeypatch.setattr(audit, "chained", chained)
    repository, port = peer
    repository.close_after = 5
    repository.may_close.clear()
    await journal.write(_add, 400)
    async with working(wire_to(journal, port, authority)):
        await until(lambda: 400 in after)  # it wrote them all, and looked for more
        repository.may_close.set()
        await until(lambda: len(repository.numbers) > 1)
        repository.close_after = 10**9
        await until(lambda: repository.all == set(range(1, 401)))


async def test_an_unreachable_repository_loses_nothing(
    journal: Journal, authority: Authority, peer: tuple[Peer, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events wait in the chain; a gateway that starts later goes on at the cursor."""
    monkeypatch.setattr(forwarder, "BEHIND", 2)
    monkeypatch.setattr(forwarder, "LOOK_S", 0.01)
    monkeypatch.setattr(forwarder, "ARRIVES_S", 600.0)
    repository, port = peer
    await journal.write(_add, 10)
    async with working(wire_to(journal, port, authority)):
        await until(lambda: journal.read_now(_read) == 8 and repository.all == set(range(1, 11)))
    await journal.write(_add, 5)
    async with working(wire_to(journal, port, authority)):
        await until(lambda: repository.all == set(range(1, 16)))
    assert repository.numbers == [list(range(1, 11)), list(range(9, 16))]


async def test_the_cursor_comes_to_the_end_when_all_is_quiet(
    journal: Journal, authority: Authority, peer: tuple[Peer, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a connection that stands and nothing to send, everything written counts as arrived."""
    monkeypatch.setattr(forwarder, "ARRIVES_S", 0.02)
    monkeypatch.setattr(forwarder, "LOOK_S", 0.01)
    repository, port = peer
    await journal.write(_add, 10)
    async with working(wire_to(journal, port, authority)):
        await until(lambda: journal.read_now(_read) == 10)
        await until(lambda: repository.all == set(range(1, 11)))


async def test_nothing_is_told_to_another_repository(
    journal: Journal, authority: Authority, peer: tuple[Peer, int]
) -> None:
    """A certificate of another key than the pinned one ends the connection before an event leaves."""
    repository, port = peer
    await journal.write(_add, 3)
    made = wire_to(journal, port, authority, pins=("sha256/" + "A" * 43 + "=",))
    (ping,) = made.pings
    with pytest.raises(DeliveryFailed, match=r"audit\.syslog"):
        await ping.ask()
    assert not repository.all


def test_without_an_address_nothing_is_sent(authority: Authority) -> None:
    """A site that names no repository has no forwarder."""
    assert not wire(Site(), cast("Desk", SimpleNamespace(store=None))).leased
