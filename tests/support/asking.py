"""A gateway that hears of cases from the test itself and asks real peers about them."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association

from radbridge.case import CaseKey, ReportText
from radbridge.config import Site
from radbridge.events import Event, ReportDictated
from radbridge.wire import Desk, Received, Wire
from radbridge_adapters.dicom.asking.enquirer import workers
from radbridge_adapters.dicom.incoming.translate import Translator
from tests.support.live import LiveGateway, live, make_site

SERVERS_LEAK = "ignore:unclosed <socket:ResourceWarning"
"""For tests with pynetdicom's servers, which never close the socket of a peer that closed first."""
FINDINGS = "There is a 6 mm nodule in the right upper lobe. No effusion."


@dataclass
class Asking:
    """The gateway, and facts told to it."""

    facts: dict[bytes, Event] = field(default_factory=dict)
    told: list[Event] = field(default_factory=list)
    """What the DICOM wire translated, in order."""
    gateway: LiveGateway = field(init=False)
    desk: Desk = field(init=False)

    def seam(self, site: Site, desk: Desk) -> Wire:
        """The wire by which the test tells facts."""
        self.desk = desk
        return Wire(name="test", translate=lambda raw: [self.facts[raw]])

    def dicom(self, site: Site, desk: Desk) -> Wire:
        """The DICOM wire without its listener."""
        translate = Translator(site.dicom, UTC)

        def note(raw: bytes) -> Sequence[Event]:
            events = translate(raw)
            self.told.extend(events)
            return events

        return Wire(name="dicom", translate=note, workers=workers(site.dicom, desk))

    async def dictate(self, accession: str, *, findings: str = FINDINGS, issuer: str = "", **more: Any) -> None:
        """A report is dictated; `more` are other fields of the fact."""
        key = CaseKey(accession=accession, issuer=issuer)
        fact = ReportDictated(key=key, at=datetime.now(UTC), report=ReportText(findings=findings), **more)
        raw = f"fact {len(self.facts)}".encode()
        self.facts[raw] = fact
        received = Received(
            wire="test", peer="", sender="T", control_id=raw.decode(), kind="T", accession=accession, raw=raw, ack=b""
        )
        await self.desk.accept(received)

    def of(self, kind: type[Event]) -> list[Any]:
        """What was translated of one kind."""
        return [event for event in self.told if isinstance(event, kind)]


@asynccontextmanager
async def asking(folder: Path, **dicom: Any) -> AsyncIterator[Asking]:
    """A gateway whose table `[dicom]` is `dicom`; where that says nothing else, peers may take their time."""
    made = Asking()
    for name in {"worklist", "pacs", "dicomweb"} & dicom.keys():
        dicom[name] = {"timeout_s": 300.0} | dicom[name]
    site = make_site(folder, dicom={"listen": "127.0.0.1:0"} | dicom)
    with patch("radbridge_adapters.dicom.asking.enquirer.POLL_S", 0.02):
        async with live(site, made.seam, made.dicom) as made.gateway:
            yield made


def peer(port: int, ae_title: str, name: str = "pacs") -> dict[str, Any]:
    """An entry of `[[dicom.peers]]` on this machine."""
    return {"name": name, "ae_title": ae_title, "address": f"127.0.0.1:{port}"}


@dataclass
class Silent:
    """A peer that accepts connections and never answers."""

    port: int = 0
    connections: int = 0
    open: int = 0


@asynccontextmanager
async def silent(said: bytes = b"", heard: Callable[[], None] = lambda: None) -> AsyncIterator[Silent]:
    """A peer that says so much to whoever connects, and nothing after it; `heard` is called for what it is sent.

    At the end of the block its connections are closed: one that outlived the loop would fail whatever test comes then.
    """
    made = Silent()
    holding = dict[asyncio.Task[None], asyncio.StreamWriter]()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        made.open += 1
        try:
            writer.write(said)
            with suppress(OSError):
                while await reader.read(65536):
                    heard()
        finally:
            writer.close()
            made.open -= 1

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        holding[asyncio.ensure_future(hold(reader, writer))] = writer

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        made.port = server.sockets[0].getsockname()[1]
        yield made
    finally:
        server.close()
        for one, writer in holding.items():
            one.cancel()
            writer.close()
        await asyncio.gather(*holding, return_exceptions=True)


@dataclass
class Loose:
    """A peer that answers the same to whatever is asked."""

    port: int
    answers: Sequence[Dataset]
    status: int = 0
    """Of the last response; another than 0 comes without answers."""
    asked: list[Dataset] = field(default_factory=list)


@contextmanager
def loose(model: str, *answers: Dataset, ae_title: str = "PACS") -> Iterator[Loose]:
    """One of pynetdicom's servers that takes any query of an information model."""
    made = Loose(port=0, answers=answers)

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        made.asked.append(event.identifier)
        if made.status == 0:
            yield from ((0xFF00, answer) for answer in made.answers)
        yield made.status, None

    ae = AE(ae_title)
    ae.add_supported_context(model)
    with serving(ae, (evt.EVT_C_FIND, find)) as made.port:
        yield made


@contextmanager
def serving(ae: AE, *handlers: evt.EventHandlerType) -> Iterator[int]:
    """One of pynetdicom's servers; its port. What it leaves to the garbage collector is gone with the block."""
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
    assert server is not None
    try:
        yield int(server.server_address[1])
    finally:
        ae.shutdown()
        for thread in threading.enumerate():
            if isinstance(thread, Association):
                thread.join(60)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
