"""Mutual TLS, both ways: who may call us, and how we show who we are."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import websockets

from radbridge.config.tls import Trust
from radbridge.errors import ConfigError, DeliveryFailed
from radbridge.wire import Mount, Receive, Scope, Send, Wire
from radbridge_adapters import cdshooks
from radbridge_adapters.rest import FhirClient
from radbridge_adapters.security.pins import read_pin
from tests.support.certificates import Authority
from tests.support.live import live, make_site


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may be slow to let us in."""
    monkeypatch.setattr("radbridge_adapters.rest.client._CONNECT_S", 60.0)


async def test_only_who_has_a_certificate_gets_in(tmp_path: Path) -> None:
    """With `client_ca`, a caller without a certificate of it is turned away before a byte of HTTP; so is plain HTTP."""
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "else")
    server, known, stranger = ours.issue("server"), ours.issue("ehr"), theirs.issue("stranger")
    tls = {"tls_cert": str(server), "tls_key": str(server), "client_ca": str(ours.ca)}
    async with live(make_site(tmp_path, http=tls), cdshooks.wire) as gateway:
        url = gateway.base.replace("http://", "https://")
        assert await discover(url, ours.ca, known) == 200
        for cert in (None, stranger):
            with pytest.raises(httpx.TransportError):
                await discover(url, ours.ca, cert)
        with pytest.raises(httpx.TransportError):
            await discover(gateway.base, ours.ca, known)
        with pytest.raises(httpx.ConnectError):
            await discover(url, theirs.ca, known)


async def discover(url: str, ca: Path, cert: Path | None) -> int:
    context = ssl.create_default_context(cafile=ca)
    if cert is not None:
        context.load_cert_chain(cert)
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=60) as client:
        return (await client.get(f"{url}/cds-services")).status_code


async def test_our_client_shows_its_certificate(tmp_path: Path) -> None:
    """A destination's `ca_file` and `cert_file` open a server that wants both; without them it can't be reached."""
    ours = Authority(tmp_path)
    server = ours.issue("server")
    tls = {"tls_cert": str(server), "tls_key": str(server), "client_ca": str(ours.ca)}
    async with live(make_site(tmp_path, http=tls), cdshooks.wire) as gateway:
        url = gateway.base.replace("http://", "https://")
        shown = FhirClient("ehr", url, timeout_s=60.0, trust=Trust(ca_file=ours.ca, cert_file=ours.issue("us")))
        assert (await shown.send("GET", "cds-services")).ok
        hidden = FhirClient("ehr", url, timeout_s=60.0, trust=Trust(ca_file=ours.ca))
        with pytest.raises(DeliveryFailed):
            await hidden.send("GET", "cds-services")
        await shown.close()
        await hidden.close()


@pytest.mark.parametrize("file", ["nowhere.pem", "rubbish.pem"])
def test_a_certificate_that_cannot_be_used_is_a_config_error(tmp_path: Path, file: str) -> None:
    """It is told at the start, and by name."""
    (tmp_path / "rubbish.pem").write_text("rubbish")
    with pytest.raises(ConfigError, match=rf"ehr: .*check .*{file}"):
        FhirClient("ehr", "https://127.0.0.1/fhir", trust=Trust(cert_file=tmp_path / file))


async def echo_pin(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that tells the pin of whoever asks."""
    pin = scope["state"]["peer_pin"]
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-pin", pin.encode())]})
        await send({"type": "http.response.body", "body": b""})
    else:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": pin})
        await send({"type": "websocket.close"})


async def test_an_application_knows_the_certificate(tmp_path: Path) -> None:
    """The pin of the caller's certificate reaches the application of a request and of a WebSocket."""
    ours = Authority(tmp_path)
    server, client = ours.issue("server"), ours.issue("client")
    tls = {"tls_cert": str(server), "tls_key": str(server), "client_ca": str(ours.ca)}
    wire = Wire(name="echo", translate=lambda _: (), mounts=(Mount(path="/echo", app=echo_pin),))
    context = ssl.create_default_context(cafile=ours.ca)
    context.load_cert_chain(client)
    async with live(make_site(tmp_path, http=tls), lambda _, __: wire) as gateway:
        address = gateway.addresses["http"]
        async with httpx.AsyncClient(verify=context, trust_env=False, timeout=60) as http:
            told = (await http.get(f"https://{address}/echo")).headers["x-pin"]
        async with websockets.connect(f"wss://{address}/echo", ssl=context, proxy=None, open_timeout=60) as socket:
            assert await socket.recv() == told == read_pin(client)
