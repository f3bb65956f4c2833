"""The MLLP listener over real sockets, with an intake in memory."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from radbridge.config import Hl7v2, Site
from radbridge.testing import MemoryIntake
from radbridge.wire import Listener, Received, Rejected
from radbridge_adapters.hl7v2 import wire
from radbridge_adapters.hl7v2.er7 import Message
from radbridge_adapters.hl7v2.framing import Decoder, Frame, encode

MESSAGES = Path(__file__).parents[1] / "messages"
REPORT = (MESSAGES / "oru_r01_loinc_unsigned.hl7").read_bytes()
PATIENCE_S = 20.0


def numbered(number: int) -> bytes:
    return REPORT.replace(b"|ORU1|", f"|N{number}|".encode())


class Peer:
    """A sender's end of a connection, which reads answers as messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = Decoder(1 << 20)
        self._answers: list[Message] = []

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answers(self, count: int) -> list[Message]:
        while len(self._answers) < count:
            data = await asyncio.wait_for(self.reader.read(65536), PATIENCE_S)
            assert data, "the listener hung up before it answered"
            self._answers += [Message(f.payload.decode()) for f in self._decoder.feed(data) if isinstance(f, Frame)]
        taken, self._answers = self._answers[:count], self._answers[count:]
        return taken

    async def answer(self) -> tuple[str, str, str]:
        """MSA-1, MSA-2 and ERR-3 of the next answer."""
        return read_answer((await self.answers(1))[0])

    async def is_closed(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(), PATIENCE_S) == b""
        except ConnectionError:
            return True

    def abort(self) -> None:
        """Hang up with a reset."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def read_answer(message: Message) -> tuple[str, str, str]:
    msa, err = message.first("MSA"), message.first("ERR")
    assert msa is not None
    return msa.text(1), msa.raw(2), err.text(3) if err else ""


@asynccontextmanager
async def connect(listener: Listener) -> AsyncIterator[Peer]:
    host, port = listener.address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


@asynccontextmanager
async def listening(intake: MemoryIntake, **settings: object) -> AsyncIterator[Listener]:
    hl7v2 = Hl7v2.model_validate({"listen": "127.0.0.1:0"} | settings)
    (listener,) = wire(Site(hl7v2=hl7v2), intake).listeners
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


@pytest.fixture
async def listener(intake: MemoryIntake) -> AsyncIterator[Listener]:
    async with listening(intake) as started:
        yield started


async def until(condition: Callable[[], bool]) -> None:
    """Let the listener work until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


async def is_alive(listener: Listener) -> bool:
    async with connect(listener) as peer:
        await peer.send(encode(REPORT))
        return (await peer.answer())[0] == "AA"


async def test_a_report_is_taken_in(listener: Listener, intake: MemoryIntake) -> None:
    """A good message is committed as it came, with what it is found by, and answered with AA."""
    async with connect(listener) as peer:
        await peer.send(encode(REPORT))
        assert await peer.answer() == ("AA", "ORU1", "")
    (received,) = intake.accepted
    assert (received.wire, received.kind, received.control_id) == ("hl7v2", "ORU^R01", "ORU1")
    assert (received.accession, received.sender, received.raw) == ("ACC900001", "RIS|HOSP", REPORT)


@pytest.mark.parametrize("path", sorted(MESSAGES.glob("*.hl7")), ids=lambda path: path.stem)
async def test_every_fixture_is_taken_in(listener: Listener, intake: MemoryIntake, path: Path) -> None:
    """Every kind of message in the reference is answered with AA and kept byte for byte."""
    async with connect(listener) as peer:
        await peer.send(encode(path.read_bytes()))
        assert (await peer.answer())[0] == "AA"
    assert intake.accepted[0].raw == path.read_bytes()


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

    async def accept(self, received: Received) -> bytes:
        if not self.open:
            event = asyncio.Event()
            self.waiting.append(event)
            await event.wait()
        return await super().accept(received)


@pytest.mark.parametrize(
    ("payload", "answer", "reason"),
    [
        pytest.param(b"", ("AR", "", "100"), "no_msh", id="empty block"),
        pytest.param(b"\0" * 50, ("AR", "", "100"), "no_msh", id="NULs"),
        pytest.param(b"PID|1||900001", ("AR", "", "100"), "no_msh", id="no MSH"),
        pytest.param(b"\xff\xfe\x80junk", ("AR", "", "100"), "no_msh", id="binary"),
        pytest.param(b"MSH", ("AR", "", "100"), "no_msh", id="bare MSH"),
        pytest.param(REPORT.replace(b"ORU^R01", b"ZZZ^Z01"), ("AR", "ORU1", "200"), "unknown_type", id="type"),
        pytest.param(REPORT.replace(b"ORU^R01", b"ORU^R99"), ("AR", "ORU1", "201"), "unknown_event", id="event"),
        pytest.param(REPORT.replace(b"|2.5.1\r", b"|7.0\r"), ("AR", "ORU1", "203"), "unknown_version", id="version"),
        pytest.param(REPORT.replace(b"|ORU1|", b"||"), ("AE", "", "101"), "no_control_id", id="no control id"),
        pytest.param(REPORT.replace(b"ACC900001", b""), ("AE", "ORU1", "101"), "no_accession", id="no accession"),
        pytest.param(
            (MESSAGES / "adt_a08_update.hl7").read_bytes().replace(b"900001^^^HOSP^MR~V900001^^^HOSP^VN", b""),
            ("AE", "ADT1", "101"),
            "no_patient",
            id="no patient",
        ),
    ],
)
async def test_bad_messages(
    listener: Listener, intake: MemoryIntake, payload: bytes, answer: tuple[str, str, str], reason: str
) -> None:
    """What can't be taken in is kept with its reason and answered with the fault, and the connection goes on."""
    async with connect(listener) as peer:
        await peer.send(encode(payload) + encode(REPORT))
        assert await peer.answer() == answer
        assert await peer.answer() == ("AA", "ORU1", "")
    (rejected,) = intake.rejected
    assert (rejected.reason, rejected.raw, rejected.size) == (reason, payload, len(payload))


async def test_twenty_megabytes(intake: MemoryIntake) -> None:
    """A message over the limit is refused with its control id, kept up to the limit, and the next one is taken in."""
    huge = REPORT + b"OBX|9|TX|59776-5^Findings^LN||" + b"x" * (20 * 2**20) + b"\r"
    async with listening(intake, max_message_bytes=65536) as listener, connect(listener) as peer:
        await peer.send(encode(huge) + encode(REPORT))
        assert await peer.answer() == ("AR", "ORU1", "207")
        assert await peer.answer() == ("AA", "ORU1", "")
    (rejected,) = intake.rejected
    assert (rejected.reason, rejected.size, rejected.raw) == ("too_large", len(huge), huge[:65536])


@pytest.mark.parametrize("reset", [False, True], ids=["half-closed", "reset"])
async def test_connection_closed_inside_a_message(listener: Listener, intake: MemoryIntake, *, reset: bool) -> None:
    """A message cut by the end of its connection is kept as rejected, and the listener lives on."""
    async with connect(listener) as peer:
        await peer.send(encode(REPORT)[:300])
        if reset:
            await asyncio.sleep(0.05)  # the bytes have to be read before the reset discards them
            peer.abort()
        else:
            peer.writer.write_eof()
            assert await peer.answer() == ("AR", "ORU1", "100")
            assert await peer.is_closed()
        await until(lambda: bool(intake.rejected))
    (rejected,) = intake.rejected
    assert (rejected.reason, rejected.raw) == ("cut", REPORT[:299])
    assert await is_alive(listener)


async def test_cut_by_the_next_message(listener: Listener, intake: MemoryIntake) -> None:
    """A message cut by the next one's start block is refused, the next one taken in."""
    async with connect(listener) as peer:
        await peer.send(encode(REPORT)[:300] + encode(numbered(2)))
        assert await peer.answer() == ("AR", "ORU1", "100")
        assert await peer.answer() == ("AA", "N2", "")
    assert [r.reason for r in intake.rejected] == ["cut"]


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


@pytest.mark.parametrize(
    "hello",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x0b", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-x\r\n"],
    ids=["TLS", "HTTP", "SSH"],
)
async def test_port_scanners(listener: Listener, intake: MemoryIntake, hello: bytes) -> None:
    """Other protocols are hung up on at once, without an answer and without a record."""
    async with connect(listener) as peer:
        await peer.send(hello)
        assert await peer.is_closed()
    assert (intake.accepted, intake.rejected) == ([], [])
    assert await is_alive(listener)


async def test_connect_and_close(listener: Listener, intake: MemoryIntake) -> None:
    """A load balancer's probe leaves no trace."""
    for _ in range(20):
        async with connect(listener):
            pass
    assert await is_alive(listener)
    assert intake.rejected == []


async def test_endless_garbage(listener: Listener) -> None:
    """A peer that sends garbage and no block is hung up on."""
    async with connect(listener) as peer:
        try:
            for _ in range(40):
                await peer.send(b"x" * 10_000)
            assert await peer.is_closed()
        except ConnectionError:
            pass
    assert await is_alive(listener)


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


async def test_idle_connections_are_closed(intake: MemoryIntake) -> None:
    """A peer that sends nothing is hung up on after the idle timeout; what it began is kept as cut."""
    async with listening(intake, idle_timeout_s=0.2) as listener, connect(listener) as peer:
        await peer.send(b"\x0bMSH|^~\\&|RIS")
        assert await peer.answer() == ("AR", "", "100")
        assert await peer.is_closed()
    assert [r.reason for r in intake.rejected] == ["cut"]


async def test_stop_answers_what_is_under_way() -> None:
    """`stop` waits for commits that are running, sends their answers, and takes nothing new."""
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
