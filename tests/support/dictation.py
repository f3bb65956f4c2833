"""A dictation system's end: python-hl7's own MLLP server, which nobody here wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import hl7
from hl7.mllp import start_hl7_server


@dataclass
class Dictation:
    """What arrived, as python-hl7 parsed it."""

    messages: list[Any] = field(default_factory=list)
    port: int = 0

    def of(self, accession: str) -> list[Any]:
        """The messages of one accession (OBR-18), in order of arrival."""
        return [m for m in self.messages if str(m.segment("OBR")[18]) == accession]

    def impressions(self, accession: str, *, status: str = "R") -> list[str]:
        """The text of the impression OBX of each message of an accession with this OBX-11, in order of arrival."""
        texts = []
        for message in self.of(accession):
            coded = [s for s in message.segments("OBX") if str(s[3][0][0]) == "19005-8"]
            found = [str(s[5]) for s in coded if str(s[11]) == status]
            if found:
                texts.append("\n".join(found))
        return texts

    def control_ids(self) -> list[str]:
        """MSH-10 of every message."""
        return [str(m.segment("MSH")[10]) for m in self.messages]

    async def until(self, count: int, accession: str = "", *, within_s: float = 60.0) -> None:
        """Wait for this many messages, of one accession or in all."""
        async with asyncio.timeout(within_s):
            while len(self.of(accession) if accession else self.messages) < count:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def listening(port: int = 0, *, answer: str = "AA") -> AsyncIterator[Dictation]:
    """A dictation system that answers every message."""
    peer = Dictation()

    async def serve(reader: Any, writer: Any) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while not writer.is_closing():
                    message = await reader.readmessage()
                    peer.messages.append(message)
                    writer.writemessage(message.create_ack(ack_code=answer))
                    await writer.drain()
        finally:
            writer.close()

    server = await start_hl7_server(serve, "127.0.0.1", port, encoding="utf-8", limit=2**24)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()


def parse(raw: bytes) -> Any:
    """A message as python-hl7 reads it."""
    return hl7.parse(raw.decode())
