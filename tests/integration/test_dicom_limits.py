"""Who may call, how many at a time, and for how long they may be silent."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

import pytest

from radbridge_adapters.dicom.network import status
from radbridge_adapters.dicom.network.negotiate import REJECTIONS
from radbridge_adapters.dicom.network.pdu import PduType
from tests.support.dicom_peer import (
    ABORT,
    CT,
    ECHO_RQ,
    RELEASE_RQ,
    VERIFICATION,
    Notes,
    Peer,
    associate_rq,
    associated,
    listening,
    message,
    store_rq,
)
from tests.support.limits import clock_of_loop, pass_until

SITE = [
    {"name": "scanner", "ae_title": "CT1", "addresses": ["127.0.0.0/8"]},
    {"name": "elsewhere", "ae_title": "CT2", "addresses": ["192.0.2.0/24"]},
    {"name": "anywhere", "ae_title": "CT3"},
]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"calling": "CT1"}, ""),
        ({"calling": "CT3"}, ""),
        ({"calling": "CT2"}, "calling_ae_title"),
        ({"calling": "ct1"}, "calling_ae_title"),
        ({"calling": "STRANGER"}, "calling_ae_title"),
        ({"calling": "CT1", "called": "OTHER"}, "called_ae_title"),
        ({"calling": "CT1", "version": 2}, "protocol_version"),
        ({"calling": "CT1", "application": "1.2.3"}, "application_context"),
    ],
)
async def test_only_the_sites_peers_may_call(request_: dict[str, str], reason: str) -> None:
    """Both titles and the address have to be right; the rejection is the standard's for what was wrong."""
    notes = Notes()
    async with listening(notes, peers=SITE) as (_, port):
        peer = await Peer.connect(port)
        kind, body = await peer.ask(associate_rq(**request_))  # type: ignore[arg-type]
        if reason:
            assert (kind, tuple(body[1:])) == (PduType.ASSOCIATE_RJ, REJECTIONS[reason])
        else:
            assert kind == PduType.ASSOCIATE_AC
            assert await peer.status(message(store_rq(), b"")) == status.SUCCESS
            assert notes.requests[0].peer_name in {"scanner", "anywhere"}
        await peer.close()


async def test_any_called_title_is_a_sites_choice() -> None:
    """With `any_called_title` the title that was called doesn't matter."""
    async with listening(any_called_title=True) as (_, port), associated(port, called="WHOEVER") as peer:
        assert await peer.status(ECHO_RQ) == status.SUCCESS


async def test_one_association_too_many_is_turned_away_for_now() -> None:
    """Over the limit the answer is a transient rejection; when one leaves there is room again."""
    async with listening(max_associations=2) as (listener, port), associated(port) as first, associated(port):
        late = await Peer.connect(port)
        kind, body = await late.ask(associate_rq())
        assert (kind, tuple(body[1:])) == (PduType.ASSOCIATE_RJ, REJECTIONS["max_associations"])
        await late.close()
        await first.ask(RELEASE_RQ)
        await first.close()
        async with asyncio.timeout(60):
            while listener.is_full:
                await asyncio.sleep(0.01)
        async with associated(port) as next_one:
            assert await next_one.status(ECHO_RQ) == status.SUCCESS


async def test_connections_that_never_ask_have_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of silent connections is cut off, and they are closed after `association_timeout_s`."""
    clock = clock_of_loop(monkeypatch)
    async with listening(max_associations=1, association_timeout_s=600) as (listener, port):
        silent = [await Peer.connect(port) for _ in range(80)]
        await pass_until(clock, lambda: not listener.connections, by_s=600)
        for peer in silent:
            assert await peer.ended() == b""
        async with associated(port) as peer:
            assert await peer.status(ECHO_RQ) == status.SUCCESS
        for peer in silent:
            await peer.close()


@pytest.mark.parametrize(
    "sent", [b"", message(store_rq())[:20], message(store_rq()), message(store_rq(), b"x" * 99)[:-9]]
)
async def test_a_silent_association_is_aborted(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stuck anywhere, even in mid-command or mid-object: A-ABORT after `idle_timeout_s`, and the socket is closed."""
    clock = clock_of_loop(monkeypatch)
    async with listening(idle_timeout_s=600) as (listener, port), associated(port) as peer:
        peer.writer.write(sent)
        await pass_until(clock, lambda: not listener.connections, by_s=600)
        assert await peer.read() == (ABORT, b"\0\0\2\0")
        assert await peer.ended() == b""
        assert listener.connections == 0


async def test_a_slow_commit_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the services are at work the idle time doesn't run."""
    clock, notes = clock_of_loop(monkeypatch), Notes(gate=asyncio.Event())
    async with listening(notes, idle_timeout_s=600) as (_, port), associated(port) as peer:
        peer.writer.write(message(store_rq(), b""))
        await notes.came.wait()
        for _ in range(5):
            clock.skip(600)
            await asyncio.sleep(0.01)
        assert notes.gate
        notes.gate.set()
        kind, _ = await peer.read()
        assert kind == PduType.DATA


async def test_a_peer_that_does_not_read_is_cut_off() -> None:
    """One that sends requests and reads no answer is held back by TCP, then closed; memory stays bounded."""
    async with listening(idle_timeout_s=0.3) as (listener, port), associated(port) as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        echoes = ECHO_RQ * 2000
        async with asyncio.timeout(60):
            with suppress(OSError):
                while True:
                    peer.writer.write(echoes)
                    await peer.writer.drain()
        async with asyncio.timeout(60):
            while listener.connections:
                await asyncio.sleep(0.01)


async def test_stop_answers_what_is_being_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that is stopped answers the object that is being committed, then aborts."""
    monkeypatch.setattr("radbridge_adapters.dicom.network.listener._DRAIN_S", 120.0)
    notes = Notes(gate=asyncio.Event())
    async with listening(notes) as (listener, port), associated(port) as busy, associated(port) as idle:
        busy.writer.write(message(store_rq(), b""))
        await notes.came.wait()
        stopping = asyncio.create_task(listener.stop())
        assert (await idle.read())[0] == ABORT
        assert notes.gate
        notes.gate.set()
        assert (await busy.read())[0] == PduType.DATA
        assert (await busy.read())[0] == ABORT
        await stopping
        with pytest.raises(OSError):  # noqa: PT011 - refused
            await Peer.connect(port)


@pytest.mark.parametrize("most", [128, 4096, 0])
async def test_answers_fit_the_peers_longest_pdu(most: int) -> None:
    """However little the peer takes at a time, no PDU is longer than that; under 128 bytes is no offer."""
    async with listening() as (_, port), associated(port, CT, VERIFICATION, max_pdu=most) as peer:
        kind, body = await peer.ask(ECHO_RQ)
        assert kind == PduType.DATA
        received = body[6:]
        while not body[5] & 2:
            kind, body = await peer.read()
            assert len(body) <= most
            received += body[6:]
        assert struct.pack("<HHIH", 0, 0x900, 2, 0) in received
