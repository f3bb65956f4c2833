"""A caller that may break every rule of the upper layer, and services that only note what they were asked."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from radbridge.config.dicom import Dicom
from radbridge_adapters.dicom.network import status
from radbridge_adapters.dicom.network.dimse import Value, decode, encode
from radbridge_adapters.dicom.network.listener import DicomListener
from radbridge_adapters.dicom.network.pdu import PduType, data_pdus
from radbridge_adapters.dicom.network.services import (
    ActRequest,
    Answer,
    CreateRequest,
    Event,
    Request,
    SetRequest,
    StoreRequest,
)

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"
ABORT = 7


@dataclass
class Notes:
    """Services that take everything in. `error` is raised instead of an answer; `gate`, if any, is waited for."""

    requests: list[Request] = field(default_factory=list)
    abandonings: list[tuple[Request, str]] = field(default_factory=list)
    unreported_events: list[Event] = field(default_factory=list)
    event: Event | None = None
    error: Exception | None = None
    gate: asyncio.Event | None = None
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by every call."""

    async def store(self, request: StoreRequest) -> Answer:
        return await self._take(request)

    async def create(self, request: CreateRequest) -> Answer:
        return await self._take(request)

    async def set(self, request: SetRequest) -> Answer:
        return await self._take(request)

    async def act(self, request: ActRequest) -> tuple[Answer, Event | None]:
        return await self._take(request), self.event

    async def unreported(self, request: ActRequest, event: Event) -> None:
        self.unreported_events.append(event)
        self.came.set()

    async def abandoned(self, request: Request, reason: str) -> None:
        self.abandonings.append((request, reason))
        self.came.set()

    async def _take(self, request: Request) -> Answer:
        self.came.set()
        if self.gate:
            await self.gate.wait()
        if self.error:
            raise self.error
        self.requests.append(request)
        return Answer(status=status.SUCCESS)


@asynccontextmanager
async def listening(notes: Notes | None = None, **settings: Any) -> AsyncIterator[tuple[DicomListener, int]]:
    """A listener and its port, for the time of a block. It is more patient than sites are."""
    patient = {"listen": "127.0.0.1:0", "association_timeout_s": 600, "idle_timeout_s": 600}
    listener = DicomListener(Dicom(**patient | settings), notes or Notes(), frozenset())
    await listener.start()
    try:
        yield listener, int(listener.address.rpartition(":")[2])
    finally:
        await listener.stop()


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def associate_rq(
    *classes: str,
    called: str = "RADBRIDGE",
    calling: str = "MODALITY",
    syntaxes: Sequence[str] = (EXPLICIT,),
    version: int = 1,
    application: str = "1.2.840.10008.3.1.1.1",
    max_pdu: int = 16384,
) -> bytes:
    """An A-ASSOCIATE-RQ; contexts are 1, 3, 5, … in the order of `classes`."""
    contexts = b"".join(
        item(
            0x20,
            bytes((2 * number + 1, 0, 0, 0))
            + item(0x30, abstract.encode())
            + b"".join(item(0x40, s.encode()) for s in syntaxes),
        )
        for number, abstract in enumerate(classes or (CT, VERIFICATION))
    )
    user = item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"1.2.3")
    body = struct.pack(">H2x16s16s32x", version, called.ljust(16).encode(), calling.ljust(16).encode())
    body += item(0x10, application.encode()) + contexts + item(0x50, user)
    return struct.pack(">BxI", PduType.ASSOCIATE_RQ, len(body)) + body


RELEASE_RQ = struct.pack(">BxI", PduType.RELEASE_RQ, 4) + bytes(4)
ABORT_PDU = struct.pack(">BxI", PduType.ABORT, 4) + bytes(4)


def store_rq(*, sop_class: str = CT, instance: str = "1.2.3.4", data: bool = True, field: int = 1) -> bytes:
    """A C-STORE-RQ command set."""
    elements: list[tuple[int, Value]] = [(2, sop_class), (0x100, field), (0x110, 7), (0x700, 0)]
    return encode([*elements, (0x800, 0 if data else 0x0101), (0x1000, instance)])


def message(command: bytes, data_set: bytes | None = None, *, context: int = 1, most: int = 16384) -> bytes:
    """A whole DIMSE message in PDUs."""
    sent = data_pdus(context, command, is_command=True, most=most)
    return sent if data_set is None else sent + data_pdus(context, data_set, is_command=False, most=most)


ECHO_RQ = message(encode([(2, VERIFICATION), (0x100, 0x30), (0x110, 1), (0x800, 0x0101)]), context=3)


class Peer:
    """A TCP client that speaks PDUs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, **options: Any) -> Peer:
        return cls(*await asyncio.open_connection("127.0.0.1", port, **options))

    @classmethod
    async def open(cls, port: int, *classes: str, **request: Any) -> Peer:
        """Connected, with an association."""
        peer = await cls.connect(port)
        kind, _ = await peer.ask(associate_rq(*classes, **request))
        assert kind == PduType.ASSOCIATE_AC
        return peer

    async def ask(self, data: bytes) -> tuple[int, bytes]:
        """Send, then read one PDU."""
        self.writer.write(data)
        return await self.read()

    async def read(self) -> tuple[int, bytes]:
        """One PDU: its type and what follows its head."""
        async with asyncio.timeout(60):
            kind, length = struct.unpack(">BxI", await self.reader.readexactly(6))
            return kind, await self.reader.readexactly(length)

    async def request(self, data: bytes) -> dict[int, bytes]:
        """Send a message, read its response's command set."""
        kind, body = await self.ask(data)
        assert kind == PduType.DATA, (kind, body)
        return dict(decode(body[6:]).elements)

    async def status(self, data: bytes) -> int:
        """Send a message, read its response's status."""
        return int.from_bytes((await self.request(data))[0x900], "little")

    async def ended(self) -> bytes:
        """What is still sent until the connection is closed."""
        async with asyncio.timeout(60):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def close(self) -> None:
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


@asynccontextmanager
async def associated(port: int, *classes: str, **request: Any) -> AsyncIterator[Peer]:
    """A peer with an association, closed at the end."""
    peer = await Peer.open(port, *classes, **request)
    try:
        yield peer
    finally:
        await peer.close()
