"""The MLLP client and the sink against peers that answer well, wrongly, late or not at all."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic, sleep

import pytest

from radbridge.config import Hl7Destination, Hl7v2
from radbridge.errors import DeliveryFailed, DeliveryRefused
from radbridge_adapters.hl7v2.client import MllpClient, read_control_id
from radbridge_adapters.hl7v2.compose import specimen
from radbridge_adapters.hl7v2.framing import Decoder, Frame, encode
from radbridge_adapters.hl7v2.sink import MllpSink
from tests.support.limits import Limits, limits_of

Script = Callable[["Peer", bytes], Awaitable[None]]
PATIENCE_S = 60.0


def ack(control_id: str, code: str = "AA", text: str = "") -> bytes:
    return encode(f"MSH|^~\\&|D||R||20260102||ACK|A1|P|2.5.1\rMSA|{code}|{control_id}|{text}\r".encode())


def message(control_id: str) -> bytes:
    return f"MSH|^~\\&|R||D||20260102||ORU^R01|{control_id}|P|2.5.1\r".encode()


class Peer:
    """One connection of a scripted receiver."""

    def __init__(self, number: int, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.writer = writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


class Receiver:
    """A server that runs a script for each message it gets."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.connections = 0
        self.received: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        peer, decoder = Peer(self.connections, writer), Decoder(1 << 20)
        try:
            while data := await reader.read(65536):
                for block in decoder.feed(data):
                    assert isinstance(block, Frame)
                    self.received.append(read_control_id(block.payload))
                    await self._script(peer, block.payload)
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(script: Script) -> AsyncIterator[Receiver]:
    receiver = Receiver(script)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


@asynccontextmanager
async def client_of(receiver: Receiver, on_stray: Callable[[], None] = lambda: None) -> AsyncIterator[MllpClient]:
    client = MllpClient("127.0.0.1", receiver.port, PATIENCE_S, on_stray=on_stray)
    try:
        yield client
    finally:
        await client.close()


def sink_for(port: int) -> MllpSink:
    return MllpSink(Hl7v2(), Hl7Destination(name="dictation", address=f"127.0.0.1:{port}", ack_timeout_s=PATIENCE_S))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """How long an answer is waited for: until the test ends it."""
    return limits_of("radbridge_adapters.hl7v2.client", monkeypatch)


async def test_one_connection_for_many() -> None:
    """Messages go one after the other over one connection, each with its own answer."""

    async def script(peer: Peer, raw: bytes) -> None:
        await peer.say(ack(read_control_id(raw)))

    async with receiving(script) as receiver, client_of(receiver) as client:
        answers = await asyncio.gather(*(client.send(message(f"M{n}"), f"M{n}") for n in range(20)))
        assert [(a.code, a.control_id) for a in answers] == [("AA", f"M{n}") for n in range(20)]
        assert receiver.connections == 1


async def test_answers_to_others_are_discarded() -> None:
    """Only the answer whose MSA-2 is the message's counts, whatever comes before it."""

    async def script(peer: Peer, raw: bytes) -> None:
        noise = ack("OTHER") + b"\r\njunk" + encode(b"\x06") + encode(b"no message") + ack("", "AR")
        await peer.say(noise + ack(read_control_id(raw), "AE", "why"))

    async with receiving(script) as receiver, client_of(receiver) as client:
        answer = await client.send(message("M1"), "M1")
        assert (answer.code, answer.control_id, answer.text) == ("AE", "M1", "why")


async def test_only_wrong_answers_are_none(limits: Limits) -> None:
    """A peer that answers with somebody else's MSA-2 has not answered: the delivery fails and will be tried again."""

    async def script(peer: Peer, raw: bytes) -> None:
        await peer.say(ack("WRONG"))

    async with receiving(script) as receiver, client_of(receiver, limits.end) as client:
        with pytest.raises(DeliveryFailed, match="no answer"):
            await client.send(message("M1"), "M1")


async def test_late_answer_is_not_the_next_ones(limits: Limits) -> None:
    """A timeout closes the connection, so that a late answer can't be taken for the next message's or the retry's."""
    late = asyncio.Event()

    async def script(peer: Peer, raw: bytes) -> None:
        if peer.number == 1:
            limits.end()
            await late.wait()
        await peer.say(ack(read_control_id(raw), "AA" if peer.number == 1 else "AE"))

    async with receiving(script) as receiver, client_of(receiver) as client:
        with pytest.raises(DeliveryFailed):
            await client.send(message("M1"), "M1")
        late.set()
        assert (await client.send(message("M1"), "M1")).code == "AE"
        assert receiver.connections == 2


def stand_still_until_it_came(writer: asyncio.StreamWriter) -> None:
    """Block the loop until the other end's system has all that was written."""
    sock, end = writer.get_extra_info("socket"), monotonic() + PATIENCE_S
    while struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]:
        assert monotonic() < end
        sleep(0.001)


async def test_an_answer_at_the_door_counts(limits: Limits) -> None:
    """On a machine that stood still time is up when the answer has come and wasn't read: no second copy goes for it."""

    async def script(peer: Peer, raw: bytes) -> None:
        peer.writer.write(ack(read_control_id(raw)))
        stand_still_until_it_came(peer.writer)
        limits.end()

    async with receiving(script) as receiver, client_of(receiver) as client:
        for number in range(3):
            assert (await client.send(message(f"M{number}"), f"M{number}")).code == "AA"
        assert receiver.connections == 1


async def test_refused_then_accepted_is_refused() -> None:
    """Of two answers to one message the first counts, and the second is not taken for the retry's."""

    async def script(peer: Peer, raw: bytes) -> None:
        control_id = read_control_id(raw)
        if peer.number == 1:
            await peer.say(ack(control_id, "AE") + ack(control_id, "AA"))
        else:
            await peer.say(ack(control_id, "AR"))

    async with receiving(script) as receiver, client_of(receiver) as client:
        assert (await client.send(message("M1"), "M1")).code == "AE"
        assert (await client.send(message("M1"), "M1")).code == "AR"


async def test_unasked_answers_wait_for_nobody() -> None:
    """An answer that arrives while nothing is waited for is gone when its control id is sent later."""
    seen = asyncio.Event()

    async def script(peer: Peer, raw: bytes) -> None:
        if read_control_id(raw) == "M1":
            await peer.say(ack("M1") + ack("M2", "AA"))
            seen.set()
        else:
            await peer.say(ack("M2", "AE"))

    async with receiving(script) as receiver, client_of(receiver) as client:
        await client.send(message("M1"), "M1")
        await seen.wait()
        assert (await client.send(message("M2"), "M2")).code == "AE"


async def test_peer_that_closes_after_each_answer() -> None:
    """A peer that hangs up after its answer gets the next message over a new connection."""
    closed = asyncio.Event()

    async def script(peer: Peer, raw: bytes) -> None:
        await peer.say(ack(read_control_id(raw)))
        peer.writer.close()
        await peer.writer.wait_closed()
        closed.set()

    async with receiving(script) as receiver, client_of(receiver) as client:
        for number in range(3):
            closed.clear()
            assert (await client.send(message(f"M{number}"), f"M{number}")).code == "AA"
            await closed.wait()
        assert receiver.received == ["M0", "M1", "M2"]


async def test_half_closed_peer_has_not_answered() -> None:
    """A peer that closes its half before it answers has not taken the message."""

    async def script(peer: Peer, raw: bytes) -> None:
        peer.writer.write_eof()

    async with receiving(script) as receiver, client_of(receiver) as client:
        with pytest.raises(DeliveryFailed, match="closed the connection"):
            await client.send(message("M1"), "M1")


async def test_silence(limits: Limits) -> None:
    """A peer that says nothing fails the delivery after the timeout."""

    async def script(peer: Peer, raw: bytes) -> None:
        limits.end()

    async with receiving(script) as receiver, client_of(receiver) as client:
        with pytest.raises(DeliveryFailed, match="no answer to this message within 60 s"):
            await client.send(message("M1"), "M1")


async def test_cancelled_send_leaves_no_answer_behind() -> None:
    """A send that is cancelled closes its connection; the next message gets its own answer."""
    got_one = asyncio.Event()

    async def script(peer: Peer, raw: bytes) -> None:
        if peer.number == 1:
            got_one.set()
        else:
            await peer.say(ack(read_control_id(raw)))

    async with receiving(script) as receiver, client_of(receiver) as client:
        sending = asyncio.create_task(client.send(message("M1"), "M1"))
        await got_one.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert (await client.send(message("M2"), "M2")).code == "AA"


async def test_nobody_listens() -> None:
    """Without a peer a delivery and a ping fail, naming the destination and no payload."""
    with socket.socket() as deaf:  # it keeps the port and doesn't listen
        deaf.bind(("127.0.0.1", 0))
        sink = sink_for(deaf.getsockname()[1])
        with pytest.raises(DeliveryFailed, match="no connection") as caught:
            await sink.deliver("M1", message("M1"))
        assert caught.value.destination == "dictation"
        with pytest.raises(DeliveryFailed):
            await sink.ping()
        await sink.close()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("AA", "AA"),
        ("CA", "CA"),
        ("AE", DeliveryFailed),
        ("CE", DeliveryFailed),
        ("AR", DeliveryRefused),
        ("CR", DeliveryRefused),
        ("??", DeliveryFailed),
    ],
)
async def test_codes(code: str, expected: str | type[Exception]) -> None:
    """Accepted is delivered, an error is tried again, a rejection is for an operator; the peer's text is never told."""

    async def script(peer: Peer, raw: bytes) -> None:
        await peer.say(ack(read_control_id(raw), code, "DOE^JANE"))

    async with receiving(script) as receiver:
        sink = sink_for(receiver.port)
        payload = sink.compose(*specimen(), "C1")
        await sink.ping()
        if isinstance(expected, str):
            assert await sink.deliver("C1", payload) == expected
        else:
            with pytest.raises(expected) as caught:
                await sink.deliver("C1", payload)
            assert "DOE" not in str(caught.value)
        await sink.close()
