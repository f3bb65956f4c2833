"""A sender over MLLP, and the listener it talks to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from radbridge.config import Hl7v2, Site
from radbridge.testing import MemoryIntake
from radbridge.wire import Desk, Listener
from radbridge_adapters.hl7v2 import wire
from radbridge_adapters.hl7v2.er7 import Message
from radbridge_adapters.hl7v2.framing import Decoder, Frame, encode

MESSAGES = Path(__file__).parents[1] / "messages"
REPORT = (MESSAGES / "oru_r01_loinc_unsigned.hl7").read_bytes()
PATIENCE_S = 60.0


def numbered(number: int) -> bytes:
    """The report under control id `N<number>`."""
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
    """MSA-1, MSA-2 and ERR-3."""
    msa, err = message.first("MSA"), message.first("ERR")
    assert msa is not None
    return msa.text(1), msa.raw(2), err.text(3) if err else ""


@asynccontextmanager
async def connect(listener: Listener) -> AsyncIterator[Peer]:
    """A connection to the listener."""
    host, port = listener.address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def listening(intake: MemoryIntake, **settings: object) -> AsyncIterator[Listener]:
    """The listener that a site's `[hl7v2]` table describes."""
    hl7v2 = Hl7v2.model_validate({"listen": "127.0.0.1:0"} | settings)
    (listener,) = wire(Site(hl7v2=hl7v2), cast("Desk", intake)).listeners
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Let the listener work until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


async def is_alive(listener: Listener) -> bool:
    """Whether a new connection gets its message answered."""
    async with connect(listener) as peer:
        await peer.send(encode(REPORT))
        return (await peer.answer())[0] == "AA"
