"""The dictation software of the demo: it listens, answers, and keeps the drafts that arrive."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from radbridge_adapters.hl7v2.er7 import Message
from radbridge_adapters.hl7v2.framing import Decoder, Frame, encode
from radbridge_adapters.hl7v2.header import read_message

_MAX_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """One message from RadBridge, read from its bytes."""

    control_id: str
    accession: str
    status: str
    """OBX-11 of the impression: `R` a draft, `D` a draft taken back."""
    text: str = field(repr=False)
    lora: str
    """OBX-18.1."""
    flags: tuple[str, ...] = field(repr=False)


class Dictation:
    """`async with Dictation(tell) as dictation`: `tell` hears of every arrival that nobody awaited."""

    def __init__(self, tell: Callable[[Arrival], None]) -> None:
        self._tell = tell
        self._awaited: dict[tuple[str, str], asyncio.Future[Arrival]] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in tuple(self._writers):
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def expect(self, accession: str, status: str) -> asyncio.Future[Arrival]:
        """The next message about `accession` with this OBX-11."""
        return self._awaited.setdefault((accession, status), asyncio.get_running_loop().create_future())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        decoder = Decoder(_MAX_BYTES)
        while data := await reader.read(65536):
            for block in decoder.feed(data):
                if isinstance(block, Frame):
                    message = read_message(block.payload, "utf-8")
                    writer.write(encode(_acknowledge(message)))
                    await writer.drain()
                    self._take(_read(message))
        self._writers.discard(writer)
        writer.close()

    def _take(self, arrival: Arrival) -> None:
        waiting = self._awaited.pop((arrival.accession, arrival.status), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(arrival)
        else:
            self._tell(arrival)


def _read(message: Message) -> Arrival:
    obr, obx = message.first("OBR"), message.first("OBX")
    return Arrival(
        control_id=message.msh.text(10),
        accession=obr.text(18) if obr else "",
        status=obx.text(11) if obx else "",
        text="\n".join(line.whole(5) for line in message.all("OBX")),
        lora=obx.text(18) if obx else "",
        flags=tuple(note.whole(3) for note in message.all("NTE")),
    )


def _acknowledge(message: Message) -> bytes:
    control_id, now = message.msh.raw(10), f"{datetime.now(UTC):%Y%m%d%H%M%S}+0000"
    return (
        f"MSH|^~\\&|DICTATION|HOSP|RADBRIDGE|HOSP|{now}||ACK^R01^ACK|A{control_id}|P|2.5.1\rMSA|AA|{control_id}\r"
    ).encode()
