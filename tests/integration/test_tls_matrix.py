"""TLS on every wire, both ways: a good peer, one of another authority, with another key, without a certificate."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop

from radbridge.config import Dicom, Hl7Destination, Hl7v2, Http, Site
from radbridge.config.tls import Tls, Trust
from radbridge.errors import DeliveryFailed
from radbridge.testing import MemoryIntake
from radbridge_adapters import cdshooks, fhircast
from radbridge_adapters.dicom.network.scu import Scu
from radbridge_adapters.fhircast.client import HubClient
from radbridge_adapters.hl7v2.client import read_control_id
from radbridge_adapters.hl7v2.framing import Decoder, Frame, encode
from radbridge_adapters.hl7v2.sink import MllpSink
from radbridge_adapters.model.client import ModelClient
from radbridge_adapters.rest import FhirClient
from radbridge_adapters.security import tls
from radbridge_adapters.security.fetching import fetch
from radbridge_adapters.security.pins import read_pin
from radbridge_adapters.security.tls import client_context, server_context
from tests.support import mllp
from tests.support.certificates import Authority
from tests.support.dicom_peer import Notes, associate_rq, listening
from tests.support.gateway import free_port
from tests.support.live import live, make_site

CASES = ("good", "wrong authority", "wrong key", "no certificate", "plain")


@dataclass(frozen=True)
class Papers:
    """Two authorities; certificates of a server and of clients."""

    ours: Authority
    theirs: Authority
    server: Path
    client: Path
    other: Path
    """Of our authority, with a key that nobody pinned."""
    stranger: Path

    @classmethod
    def make(cls, folder: Path) -> Papers:
        ours, theirs = Authority(folder), Authority(folder, "else")
        made = {name: ours.issue(name) for name in ("server", "client", "other")}
        return cls(ours=ours, theirs=theirs, stranger=theirs.issue("stranger"), **made)

    @property
    def listener(self) -> dict[str, Any]:
        """A listener that lets in `client` alone."""
        pins = [read_pin(self.client)]
        return {"cert": self.server, "key": self.server, "client_ca": self.ours.ca, "client_pins": pins}

    def shown(self, case: str) -> Path | None:
        """What a caller shows."""
        return {"good": self.client, "wrong authority": self.stranger, "wrong key": self.other}.get(case)

    def trust(self, case: str) -> dict[str, Any]:
        """How a client of ours trusts a server that is right but in `case`."""
        return {
            "ca_file": self.theirs.ca if case == "wrong authority" else self.ours.ca,
            "cert_file": None if case == "no certificate" else self.client,
            "pins": (read_pin(self.other if case == "wrong key" else self.server),),
        }


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers.make(tmp_path)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may be slow to let us in, and to answer."""
    for limit in ("rest.client._CONNECT_S", "model.client._CONNECT_S", "model.client._READY_S"):
        monkeypatch.setattr(f"radbridge_adapters.{limit}", 60.0)
    monkeypatch.setattr("radbridge_adapters.security.fetching.TIMEOUT_S", 60.0)


# Whom we let in.


@asynccontextmanager
async def mllp_listener(papers: Papers, folder: Path) -> AsyncIterator[int]:
    async with mllp.listening(MemoryIntake(), tls=papers.listener) as listener:
        yield int(listener.address.rpartition(":")[2])


@asynccontextmanager
async def dicom_listener(papers: Papers, folder: Path) -> AsyncIterator[int]:
    async with listening(tls=papers.listener, association_timeout_s=60) as (_, port):
        yield port


def https(papers: Papers) -> dict[str, Any]:
    """The same as a table `[http]`."""
    given = papers.listener
    return {"tls_cert": given.pop("cert"), "tls_key": given.pop("key"), **given}


@asynccontextmanager
async def http_listener(papers: Papers, folder: Path) -> AsyncIterator[int]:
    async with live(make_site(folder, http=https(papers)), cdshooks.wire, fhircast.wire) as gateway:
        yield int(gateway.addresses["http"].rpartition(":")[2])


HTTP_HELLO = b"GET /cds-services HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
SOCKET_HELLO = (
    b"GET /fhircast/ws/none HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LISTENERS: dict[str, tuple[Callable[[Papers, Path], Any], bytes]] = {
    "hl7v2": (mllp_listener, encode(mllp.REPORT)),
    "dicom": (dicom_listener, associate_rq("1.2.840.10008.1.1")),
    "http": (http_listener, HTTP_HELLO),
    "websocket": (http_listener, SOCKET_HELLO),
}


async def say(port: int, hello: bytes, context: ssl.SSLContext | None) -> bytes:
    """The first bytes of the answer; none from a listener that doesn't speak with us."""
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            try:
                writer.write(hello)
                return await reader.read(1)
            finally:
                writer.transport.abort()
    except OSError:
        return b""


@pytest.mark.parametrize("wire", LISTENERS)
async def test_a_listener_answers_only_whom_it_knows(wire: str, papers: Papers, tmp_path: Path) -> None:
    """With `client_ca` and `client_pins`, one caller alone gets an answer, and only in TLS."""
    listen, hello = LISTENERS[wire]
    answered = []
    async with listen(papers, tmp_path) as port:
        for case in CASES:
            trust = Trust(ca_file=papers.ours.ca, cert_file=papers.shown(case))
            context = client_context("peer", trust) if case != "plain" else None
            if await say(port, hello, context):
                answered.append(case)
    assert answered == ["good"]


# Whom we speak with.


@dataclass
class Server:
    """A server that wants a certificate of ours, and notes whether anything was said to it."""

    port: int = 0
    heard: bytes = b""


Reply = Callable[[bytes], bytes]


@asynccontextmanager
async def serving(papers: Papers, reply: Reply) -> AsyncIterator[Server]:
    server = Server()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65536):
                    server.heard += data
                    writer.write(reply(data))
                    await writer.drain()
        finally:
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.server)
    context.load_verify_locations(papers.ours.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server


def acknowledge(data: bytes) -> bytes:
    [block] = Decoder(1 << 20).feed(data)
    assert isinstance(block, Frame)
    return encode(f"MSH|^~\\&|D||R||2026||ACK|1|P|2.5.1\rMSA|AA|{read_control_id(block.payload)}\r".encode())


def answer_http(_: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


async def send_mllp(port: int, trust: dict[str, Any]) -> None:
    destination = {"name": "ris", "address": f"127.0.0.1:{port}", "tls": True, "ack_timeout_s": 60, **trust}
    sink = MllpSink(Hl7v2(), Hl7Destination.model_validate(destination))
    try:
        await sink.deliver("C1", b"MSH|^~\\&|R||D||2026||ORU^R01|C1|P|2.5.1\r")
    finally:
        await sink.close()


async def send_fhir(port: int, trust: dict[str, Any]) -> None:
    client = FhirClient("ehr", f"https://127.0.0.1:{port}", timeout_s=60.0, trust=Trust(**trust))
    try:
        await client.send("GET", "metadata")
    finally:
        await client.close()


async def ask_model(port: int, trust: dict[str, Any]) -> None:
    client = ModelClient(f"https://127.0.0.1:{port}", 60.0, Trust(**trust))
    try:
        if not await client.ready():
            raise DeliveryFailed("model", "not ready")
    finally:
        await client.close()


async def fetch_keys(port: int, trust: dict[str, Any]) -> None:
    """As keys of clients and the provider's documents are fetched."""
    try:
        await fetch(f"https://127.0.0.1:{port}/jwks", client_context("keys", Trust(**trust)))
    except httpx.HTTPError:
        raise DeliveryFailed("keys", "not fetched") from None


CLIENTS: dict[str, tuple[Callable[[int, dict[str, Any]], Awaitable[None]], Reply]] = {
    "hl7v2": (send_mllp, acknowledge),
    "fhir": (send_fhir, answer_http),
    "model": (ask_model, answer_http),
    "keys": (fetch_keys, answer_http),
}


@pytest.mark.parametrize("wire", CLIENTS)
async def test_a_client_speaks_only_with_whom_it_knows(wire: str, papers: Papers) -> None:
    """A server of another authority or with a key that isn't pinned hears not one byte; ours is shown where wanted."""
    send, reply = CLIENTS[wire]
    for case in CASES[:-1]:
        async with serving(papers, reply) as server:
            if case == "good":
                await send(server.port, papers.trust(case))
            else:
                with pytest.raises(DeliveryFailed):
                    await send(server.port, papers.trust(case))
            assert bool(server.heard) == (case == "good"), case


async def test_a_dicom_peer_is_called_only_where_it_is_known(papers: Papers) -> None:
    """C-ECHO by TLS reaches the pinned peer alone."""
    reached = []
    async with listening(Notes(), tls=papers.listener) as (_, port):
        for case in CASES[:-1]:
            trust = papers.trust(case)
            shown = trust.pop("cert_file")
            peer = {"name": "pacs", "ae_title": "RADBRIDGE", "address": f"127.0.0.1:{port}", "tls": True, **trust}
            own = {"cert": shown, "key": shown} if shown else None
            scu = Scu.of(Dicom.model_validate({"peers": [peer], "tls": own}), "pacs")
            with suppress(DeliveryFailed):
                await scu.echo(timeout_s=60)
                reached.append(case)
    assert reached == ["good"]


async def test_a_hub_is_followed_only_where_it_is_known(papers: Papers, tmp_path: Path) -> None:
    """Of hubs at one `https://` URL, the one whose key is pinned is followed, its WebSocket too; the others never."""
    port = free_port()
    url = f"https://127.0.0.1:{port}/fhircast"
    hubs = [{"name": case.replace(" ", "-"), "url": url, "topic": case} | papers.trust(case) for case in CASES[:-1]]
    http = https(papers) | {"listen": f"127.0.0.1:{port}"}
    async with live(make_site(tmp_path, http=http, fhircast={"hubs": hubs}), fhircast.wire) as gateway:
        clients = [w for wire in gateway.wires for w in (*wire.workers, *wire.leased) if isinstance(w, HubClient)]
        good, *others = sorted(clients, key=lambda client: client.name != "good")
        await gateway.until(lambda: good.connected)
        for client in others:
            with pytest.raises(DeliveryFailed):
                await client.ping()
        assert not any(client.connected for client in others)
        for client in clients:
            await client.close()


async def test_how_long_each_of_our_certificates_is_valid(papers: Papers, tmp_path: Path) -> None:
    """`/metrics` has the end of every certificate that is shown, by listeners and to others."""
    table = {key: value for key, value in papers.listener.items() if key in {"cert", "key"}}
    site = make_site(
        tmp_path,
        http=https(papers),
        hl7v2={"listen": "127.0.0.1:0", "tls": table},
        fhir={"destinations": [{"name": "ehr", "url": "https://127.0.0.1:1", "cert_file": papers.client}]},
    )
    async with live(site) as gateway:
        page = gateway.metrics_page().decode()
    found = re.findall(r'^radbridge_certificate_expiry_seconds{wire="(.+)"} (\d+)', page, re.MULTILINE)
    assert {wire for wire, left in found if int(left) > 3000} == {"http", "hl7v2", "fhir.destinations.ehr"}


# Renewal.


async def test_a_renewed_certificate_is_shown_without_a_restart(
    papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New files in the place of the old ones are used for the next connection; half a file changes nothing."""
    monkeypatch.setattr(tls, "RENEW_S", 0.0)
    old, new = papers.server, papers.ours.issue("renewed")
    context = server_context("http", Tls(cert=old, key=old))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    ask = partial(shown_at, server.sockets[0].getsockname()[1], papers)
    async with server:
        first = await ask()
        good, renewed = old.read_bytes(), new.read_bytes()
        old.write_bytes(good[:200])
        assert await ask() == first
        old.write_bytes(renewed)
        second = await ask()
    assert (first, second) == (pin_in(good, old), pin_in(renewed, old))


def pin_in(certificate: bytes, at: Path) -> str:
    at.write_bytes(certificate)
    return read_pin(at)


async def shown_at(port: int, papers: Papers) -> str:
    """The pin of the certificate that the server shows."""
    context = client_context("peer", Trust(ca_file=papers.ours.ca))
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    pin = tls.peer_pin(writer.transport)
    writer.transport.abort()
    return pin


@pytest.mark.parametrize("wire", LISTENERS)
def test_listeners_hold_on_the_gateways_own_loop(wire: str, papers: Papers, tmp_path: Path) -> None:
    """On uvloop, which the gateway runs on, a listener answers the same caller alone as on asyncio."""
    uvloop.run(test_a_listener_answers_only_whom_it_knows(wire, papers, tmp_path))


@pytest.mark.parametrize("wire", CLIENTS)
def test_clients_hold_on_the_gateways_own_loop(wire: str, papers: Papers) -> None:
    """On uvloop, a client speaks with the same server alone."""
    uvloop.run(test_a_client_speaks_only_with_whom_it_knows(wire, papers))


async def test_what_goes_round_the_pins_fails(papers: Papers) -> None:
    """A library that takes another way than `wrap_bio` trusts nobody: it never skips the pins."""
    context = client_context("peer", Trust(ca_file=papers.ours.ca, pins=(read_pin(papers.other),)))
    async with serving(papers, answer_http) as server:

        def connect() -> None:
            import socket

            with socket.create_connection(("127.0.0.1", server.port), 60) as plain:
                context.wrap_socket(plain, server_hostname="127.0.0.1")

        with pytest.raises(ssl.SSLError):
            await asyncio.to_thread(connect)


def test_the_http_tables_pins_are_checked() -> None:
    """Pins without an authority would let nobody be asked: an error."""
    with pytest.raises(ValueError, match="client_pins needs client_ca"):
        Http(client_pins=("sha256/" + "A" * 43 + "=",))
    assert Site().http.tls is None
