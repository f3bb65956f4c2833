"""The MLLP listener over real sockets, with an intake in memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from radbridge.testing import MemoryIntake
from radbridge.wire import Accepted, Listener, Received, Rejected
from radbridge_adapters.hl7v2.framing import encode
from tests.support.certificates import Authority
from tests.support.mllp import MESSAGES, PATIENCE_S, REPORT, connect, is_alive, listening, numbered, read_answer, until


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


@pytest.fixture
async def listener(intake: MemoryIntake) -> AsyncIterator[Listener]:
    async with listening(intake) as started:
        yield started


async def test_a_report_is_taken_in(listener: Listener, intake: MemoryIntake) -> None:
    """A good message is committed as it came, with what it is found by, and answered with AA."""
    async with connect(listener) as peer:
        await peer.send(encode(REPORT))
        assert await peer.answer() == ("AA", "ORU1", "")
    (received,) = intake.accepted
    assert (received.wire, received.kind, received.control_id) == ("hl7v2", "ORU^R01", "ORU1")
    assert (received.accession, received.sender, received.raw) == ("ACC900001", "RIS|HOSP", REPORT)


@pytest.mark.parametrize("raw", [pytest.param(p.read_bytes(), id=p.stem) for p in sorted(MESSAGES.glob("*.hl7"))])
async def test_every_fixture_is_taken_in(listener: Listener, intake: MemoryIntake, raw: bytes) -> None:
    """Every kind of message in the reference is answered with AA and kept byte for byte."""
    async with connect(listener) as peer:
        await peer.send(encode(raw))
        assert (await peer.answer())[0] == "AA"
    assert [received.raw for received in intake.accepted] == [raw]


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_pieces(listener: Listener, size: int) -> None:
    """A message that arrives in pieces, a byte at a time at worst, is one message."""
    async with connect(listener) as peer:
        peer.writer.transport.set_write_buffer_limits(0)
        data = encode(REPORT)
        for start in range(0, len(data), size):
            await peer.send(data[start : start + size])
        assert await peer.answer() == ("AA", "ORU1", "")


async def test_answers_keep_their_order(listener: Listener, intake: MemoryIntake) -> None:
    """Messages sent without waiting, with garbage between, are answered one by one in the order they came."""
    sent = [encode(numbered(n)) + b"\r\n\0garbage" for n in range(300)]
    async with connect(listener) as peer:
        await peer.send(b"\0\r\n" + b"".join(sent))
        answers = [read_answer(answer) for answer in await peer.answers(300)]
    assert answers == [("AA", f"N{n}", "") for n in range(300)]
    assert [r.control_id for r in intake.accepted] == [f"N{n}" for n in range(300)]


async def test_commits_run_together() -> None:
    """Messages of one connection are committed concurrently, and a slow one holds back later answers, not commits."""
    intake = _HeldIntake()
    async with listening(intake) as listener, connect(listener) as peer:
        await peer.send(encode(numbered(0)) + encode(numbered(1)))
        await until(lambda: len(intake.waiting) == 2)
        intake.waiting[1].set()
        await until(lambda: len(intake.accepted) == 1)
        intake.waiting[0].set()
        assert [read_answer(a)[1] for a in await peer.answers(2)] == ["N0", "N1"]


async def test_in_flight_is_bounded() -> None:
    """A sender that floods is held back: no more than 64 messages of a connection are under way."""
    intake = _HeldIntake()
    async with listening(intake) as listener, connect(listener) as peer:
        await peer.send(b"".join(encode(numbered(n)) for n in range(200)))
        await until(lambda: len(intake.waiting) == 64)
        await asyncio.sleep(0)
        assert len(intake.waiting) == 64
        intake.open = True
        for event in intake.waiting:
            event.set()
        assert len(await peer.answers(200)) == 200


class _HeldIntake(MemoryIntake):
    """An intake whose commits end when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[asyncio.Event] = []
        self.open = False

    def put(self, received: Received) -> asyncio.Future[Accepted]:
        return asyncio.ensure_future(self._hold(received))

    async def _hold(self, received: Received) -> Accepted:
        if not self.open:
            event = asyncio.Event()
            self.waiting.append(event)
            await event.wait()
        return await super().put(received)


async def test_last_message_before_a_half_close_is_answered(listener: Listener) -> None:
    """A peer that sends and closes its half still gets its answer."""
    async with connect(listener) as peer:
        await peer.send(encode(REPORT))
        peer.writer.write_eof()
        assert await peer.answer() == ("AA", "ORU1", "")
        assert await peer.is_closed()


async def test_missing_0d(listener: Listener) -> None:
    """A peer that omits the 0D is answered once it falls silent."""
    async with connect(listener) as peer:
        await peer.send(b"\x0b" + REPORT + b"\x1c")
        assert await peer.answer() == ("AA", "ORU1", "")
        await peer.send(b"\x0b" + numbered(2) + b"\x1c")
        assert await peer.answer() == ("AA", "N2", "")


async def test_journal_down(listener: Listener, intake: MemoryIntake) -> None:
    """While nothing can be committed no positive answer leaves: AE 207, and AA again once it works."""
    intake.broken = True
    async with connect(listener) as peer:
        await peer.send(encode(REPORT))
        assert await peer.answer() == ("AE", "ORU1", "207")
        await peer.send(encode(b"junk"))
        assert (await peer.answer())[0] == "AE"
        intake.broken = False
        await peer.send(encode(REPORT))
        assert await peer.answer() == ("AA", "ORU1", "")


async def test_intake_bug(listener: Listener, intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the intake raises, the sender is told to try again and the connection stays."""

    async def fail(rejected: Rejected) -> None:
        raise RuntimeError("DOE^JANE")

    monkeypatch.setattr(intake, "reject", fail)
    async with connect(listener) as peer:
        await peer.send(encode(b"junk") + encode(REPORT))
        assert (await peer.answer())[0] == "AE"
        assert (await peer.answer())[0] == "AA"


async def test_connection_limit(intake: MemoryIntake) -> None:
    """One connection more than allowed is closed; those within the limit work, and a freed place is used again."""
    async with listening(intake, max_connections=2) as listener:
        async with connect(listener) as first:
            await first.send(encode(REPORT))
            await first.answer()
            async with connect(listener) as second:
                await second.send(encode(REPORT))
                await second.answer()
                async with connect(listener) as third:
                    assert await third.is_closed()
                await first.send(encode(numbered(7)))
                assert (await first.answer())[1] == "N7"
            await until(lambda: len(intake.accepted) == 2)
        await _until_alive(listener)


async def _until_alive(listener: Listener) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                if await is_alive(listener):
                    return
            except (AssertionError, ConnectionError):
                await asyncio.sleep(0.01)


async def test_stop_answers_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """`stop` waits for commits that are running, sends their answers, and takes nothing new."""
    monkeypatch.setattr("radbridge_adapters.hl7v2.listener._DRAIN_S", 600.0)
    intake = _HeldIntake()
    async with listening(intake) as listener, connect(listener) as peer:
        await peer.send(encode(REPORT))
        await until(lambda: len(intake.waiting) == 1)
        stopping = asyncio.create_task(listener.stop())
        await asyncio.sleep(0)
        intake.waiting[0].set()
        assert await peer.answer() == ("AA", "ORU1", "")
        assert await peer.is_closed()
        await stopping
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            async with connect(listener):
                pass


async def test_a_peer_that_never_reads(intake: MemoryIntake) -> None:
    """A peer that takes no answers is held back and doesn't keep others from theirs."""
    async with listening(intake) as listener, connect(listener) as deaf:
        deaf.writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        bad = encode(b"x")

        async def flood() -> None:
            while True:
                await deaf.send(bad * 2000)

        flooding = asyncio.create_task(flood())
        assert await is_alive(listener)
        flooding.cancel()
        with pytest.raises((asyncio.CancelledError, ConnectionError)):
            await flooding
        deaf.abort()


async def test_a_handshake_that_never_ends(
    intake: MemoryIntake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who connects to a TLS port and shakes no hands is hung up on."""
    monkeypatch.setattr("radbridge_adapters.hl7v2.listener._HANDSHAKE_S", 0.1)
    ours = Authority(tmp_path).issue("gateway")
    async with listening(intake, tls={"cert": ours, "key": ours}) as listener, connect(listener) as peer:
        await peer.send(b"\x16\x03\x01")
        async with asyncio.timeout(PATIENCE_S):
            assert await peer.reader.read() == b""
