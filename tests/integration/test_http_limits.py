"""What one caller of the HTTP port may take: requests, headers, bodies, time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from radbridge.access import Role
from radbridge.config import Http
from radbridge.wire import Receive, Scope, Send
from radbridge_adapters import cdshooks, fhir, fhircast
from radbridge_adapters.console.auth import MAX_BYTES, MAX_FIELDS
from radbridge_adapters.console.dispatch import Dispatcher
from radbridge_adapters.console.protocols import MAX_HEAD_BYTES
from radbridge_adapters.console.server import KEEP_ALIVE_S, MAX_BODY_BYTES
from tests.support import people
from tests.support.limits import clock_of_loop, pass_until
from tests.support.live import LiveGateway, live, make_site


async def test_a_client_that_asks_too_often_is_told_so(tmp_path: Path) -> None:
    """A known client has one rate for all wires, then 429 with Retry-After; others, and this machine, go on."""
    site = make_site(tmp_path, http={"listen": "127.0.0.1:0", "rate_per_s": 0.01, "burst": 3})
    async with (
        live(site, fhir.wire, fhircast.wire, cdshooks.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
    ):
        first, second = [await people.key(gateway, Role.VIEWER, account=name) for name in ("one", "two")]
        wires = [("GET", "/fhir/Patient"), ("GET", "/fhircast/topic"), ("POST", "/cds-services/radbridge-report-draft")]
        wires.append(("GET", "/api/v1/me"))
        answers = [await http.request(*wire, headers=people.bearer(first)) for wire in wires * 2]
        assert [answer.status_code == 429 for answer in answers] == [False] * 3 + [True] * 5
        assert all(0 < int(answer.headers["retry-after"]) <= 100 for answer in answers[3:])
        assert (await http.get("/fhir/Patient", headers=people.bearer(second))).status_code == 200
        assert [(await http.get("/fhir/Patient")).status_code for _ in range(6)] == [200] * 6
        assert b'radbridge_rate_limited_total{wire="http"} 5.0' in gateway.metrics_page()


async def test_an_address_that_asks_too_often_is_told_so() -> None:
    """Another machine gets 429 beyond the rate, or no socket, before any application sees the request.

    All addresses of one IPv6 network are one machine's; in the hospital, where each may be one, 64 machines'.
    """
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["client"][0])

    statuses: list[Any] = []

    async def send(event: Any) -> None:
        statuses.append(event.get("status", event["type"]))

    limited: list[int] = []
    settings = Http(rate_per_s=0.001, burst=2)
    dispatcher = Dispatcher(app, (), settings, lambda: limited.append(1))
    kinds = [("192.0.2.1", "http")] * 3 + [("192.0.2.1", "websocket"), ("192.0.2.2", "http")]
    kinds += [(f"2001:db8::{number}", "http") for number in (1, 2, 3)] + [("2001:db8:0:1::1", "http")]
    for host, kind in kinds:
        scope = {"type": kind, "path": "/", "client": (host, 1), "headers": []}
        await dispatcher(scope, lambda: asyncio.sleep(0, {"type": "http.request"}), send)
    v6 = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
    assert seen == ["192.0.2.1", "192.0.2.1", "192.0.2.2", *v6]
    assert statuses == [429, "http.response.body", "websocket.close", 429, "http.response.body"]
    assert limited == [1, 1, 1]
    seen.clear()
    for number in range(64 * 2 + 1):
        scope = {"type": "http", "path": "/", "client": (f"fd00::{number:x}", 1), "headers": []}
        await dispatcher(scope, lambda: asyncio.sleep(0, {"type": "http.request"}), send)
    assert len(seen) == 64 * 2


async def talk(gateway: LiveGateway, *pieces: bytes) -> bytes:
    """Send, and all that comes until the connection ends."""
    host, port = gateway.addresses["http"].rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n"])
async def test_headers_that_never_end_are_cut_off(
    begun: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that says nothing, or half a request, is hung up on after `request_timeout_s`."""
    async with live(make_site(tmp_path, http={"listen": "127.0.0.1:0", "request_timeout_s": 600.0})) as gateway:
        talking = asyncio.create_task(talk(gateway, begun))
        await pass_until(clock_of_loop(monkeypatch), talking.done, by_s=300.0)
        assert await talking == b""
        async with httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http:
            assert (await http.get("/healthz")).status_code == 200


async def ask(gateway: LiveGateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The status line of one request over a connection that stays."""
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    return head.partition(b"\r\n")[0]


async def test_an_idle_connection_is_kept_longer_than_its_caller_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is good for another request after more than a minute, closed when nobody can want it any more."""
    assert KEEP_ALIVE_S > 60
    monkeypatch.setattr("radbridge_adapters.console.server.KEEP_ALIVE_S", 900)  # no machine stands still for so long
    async with live(make_site(tmp_path)) as gateway:
        reader, writer = await asyncio.open_connection(*gateway.addresses["http"].rsplit(":", 1))
        clock = clock_of_loop(monkeypatch)
        for _ in range(3):
            assert await ask(gateway, reader, writer) == b"HTTP/1.1 200 OK"
            clock.skip(600)
            await asyncio.sleep(0.01)
        reading = asyncio.create_task(reader.read())
        await pass_until(clock, reading.done, by_s=300)
        assert await reading == b""
        writer.close()


async def test_idle_connections_hold_up_no_end(tmp_path: Path) -> None:
    """A gateway that stops closes them, and waits for none of them."""
    async with live(make_site(tmp_path)) as gateway:
        reader, writer = await asyncio.open_connection(*gateway.addresses["http"].rsplit(":", 1))
        assert await ask(gateway, reader, writer) == b"HTTP/1.1 200 OK"
    async with asyncio.timeout(60):  # which is less than they are kept
        assert await reader.read() == b""
        while asyncio.all_tasks() != {asyncio.current_task()}:
            await asyncio.sleep(0.01)
    writer.close()


async def test_headers_that_are_too_long_are_cut_off(tmp_path: Path) -> None:
    """More than 32 KiB of them, and nobody listens on."""
    async with live(make_site(tmp_path)) as gateway:
        line = b"x-more: " + b"a" * 4096 + b"\r\n"
        pieces = [b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n", *[line] * (40 * MAX_HEAD_BYTES // 4096)]
        assert not (await talk(gateway, *pieces)).startswith(b"HTTP/1.1 200")


async def test_a_body_that_never_ends_is_given_up(tmp_path: Path) -> None:
    """FHIR's body that stops in the middle holds its caller's connection for `request_timeout_s` and no longer."""
    site = make_site(tmp_path, http={"listen": "127.0.0.1:0", "request_timeout_s": 0.3})
    async with live(site, fhir.wire) as gateway:
        head = (
            b"POST /fhir HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\ncontent-type: application/json\r\n\r\n{"
        )
        assert not (await talk(gateway, head)).startswith(b"HTTP/1.1 200")


async def test_a_console_body_that_is_too_large(tmp_path: Path) -> None:
    """The API takes 64 KiB; more is refused and held nowhere."""
    async with (
        live(make_site(tmp_path)) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
    ):
        key = people.bearer(await people.key(gateway, Role.ADMIN))
        statuses = []
        wanted = b'{"account": "pacs", "roles": ["viewer"]}'
        for size in (MAX_BODY_BYTES, MAX_BODY_BYTES + 1):
            headers = key | {"content-type": "application/json"}
            made = await http.post("/api/v1/apikeys", content=wanted.ljust(size), headers=headers)
            statuses.append(made.status_code)
        assert statuses == [201, 400]


async def test_a_login_has_so_many_fields(tmp_path: Path) -> None:
    """The login page's form has few fields; one with more than are read is no login."""
    async with (
        live(make_site(tmp_path)) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
    ):
        most = {"name": "doe", "password": "x"} | {f"x{n}": "1" for n in range(MAX_FIELDS - 2)}
        said = [(await http.post("/auth/login", data=form)).status_code for form in (most, most | {"y": "1"})]
    assert said == [401, 400]


async def test_a_login_that_is_too_large(tmp_path: Path) -> None:
    """Nobody's password is longer than the login page reads."""
    async with (
        live(make_site(tmp_path)) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
    ):
        said = await http.post("/auth/login", json={"name": "doe", "password": "x" * MAX_BYTES})
        assert said.status_code == 413
