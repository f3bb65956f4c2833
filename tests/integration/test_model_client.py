"""The client of the model server, against the server's own interface and against servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from radbridge.contract import OWNER_HEADER, DraftRequest
from radbridge.draft import Stage
from radbridge.errors import ConfigError, DeadlinePassed, ModelError, ModelOverloaded, ModelUnavailable, Superseded
from radbridge_adapters.model.client import ModelClient
from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.service import Service
from radbridge_model_server.settings import Settings
from radbridge_model_server.testing import EchoEngine
from radbridge_model_server.web.api import build_api
from tests.support.limits import clock_of_loop, pass_until

PATIENCE_S = 600.0
REQUEST = DraftRequest(
    id="d1", findings="There is a 12 mm nodule in the right upper lobe.", radiologist="900001", sex="F", age=63
)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers on a machine that stands still have their time."""
    for limit in ("_CONNECT_S", "_READY_S", "_PREFETCH_S"):
        monkeypatch.setattr(f"radbridge_adapters.model.client.{limit}", PATIENCE_S)


@asynccontextmanager
async def model_server(engine: EchoEngine) -> AsyncIterator[str]:
    """The server's interface on uvicorn, without Ray."""
    settings = Settings(engine="echo", max_body_kib=8, deadline_s=600)
    chain = LoraChain(registry=None, packaged={}, personas={}, site_lora="")
    app = build_api(Service(settings=settings, engine=engine, chain=chain))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_keep_alive=600))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def peer(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that reads a request's head and then does as told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                await answer(writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def client_of(url: str, timeout_s: float = PATIENCE_S) -> AsyncIterator[ModelClient]:
    client = ModelClient(url, timeout_s)
    try:
        yield client
    finally:
        await client.close()


def say(status: str, body: bytes = b"{}", *headers: str) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def write(writer: asyncio.StreamWriter) -> None:
        head = "\r\n".join(
            [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers, "", ""]
        )
        writer.write(head.encode() + body)
        await writer.drain()

    return write


async def test_a_draft_comes_back_whole() -> None:
    """What the server drafted arrives as the contract's value."""
    async with model_server(EchoEngine()) as url, client_of(url) as client:
        drafted = await client.draft(REQUEST)
        assert drafted.id == "d1"
        assert "12 mm nodule" in drafted.draft
        assert drafted.stage is Stage.FINE
        assert await client.ready()


async def test_many_requests_share_connections() -> None:
    """Requests at the same time each get their own answer."""
    async with model_server(EchoEngine()) as url, client_of(url) as client:
        requests = [DraftRequest(id=str(n), findings=f"There is a {n} mm nodule.") for n in range(1, 30)]
        drafts = await asyncio.gather(*map(client.draft, requests))
        assert [d.id for d in drafts] == [r.id for r in requests]
        assert all(f"{d.id} mm" in d.draft for d in drafts)


async def test_overload_and_deadline_have_their_own_errors() -> None:
    """A full queue is ModelOverloaded with the time to come back; a passed deadline is DeadlinePassed."""
    hold = asyncio.Event()
    async with model_server(EchoEngine(max_queue=1, hold=hold)) as url, client_of(url) as client:
        asking = [asyncio.create_task(client.draft(REQUEST)) for _ in range(4)]
        while sum(task.done() for task in asking) < 3:
            await asyncio.sleep(0.005)
        hold.set()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        overloaded = [answer for answer in answers if isinstance(answer, ModelOverloaded)]
        assert len(overloaded) == 3
        assert overloaded[0].retry_after_s >= 1
    async with peer(say("504 Gateway Timeout")) as url, client_of(url) as client:
        with pytest.raises(DeadlinePassed):
            await client.draft(REQUEST)


async def test_a_refused_request_is_an_error_without_its_text() -> None:
    """A request that the server refuses raises ModelError, which repeats nothing of the report."""
    async with model_server(EchoEngine()) as url, client_of(url) as client:
        with pytest.raises(ModelError, match="413") as refused:
            await client.draft(DraftRequest(id="d1", findings="nodule " * 4000))
        assert not isinstance(refused.value, ModelUnavailable)
        assert "nodule" not in str(refused.value)


async def test_nobody_there_is_unavailable() -> None:
    """A port where nobody listens raises ModelUnavailable, and isn't ready."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with client_of(url) as client:
        with pytest.raises(ModelUnavailable):
            await client.draft(REQUEST)
        assert not await client.ready()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (say("500 Internal Server Error"), ModelUnavailable),
        (say("503 Service Unavailable"), ModelUnavailable),
        (say("429 Too Many Requests", b"", "retry-after: soon"), ModelOverloaded),
        (say("200 OK", b"<html>"), ModelError),
        (say("200 OK", b'{"id": "d1"}'), ModelError),
        (say("409 Conflict", b'{"type": "urn:radbridge:superseded", "title": ""}'), Superseded),
        (say("302 Found", b"", "location: http://127.0.0.1:1/"), ModelError),
    ],
    ids=["500", "503", "429", "html", "other", "409", "redirect"],
)
async def test_other_answers_are_model_errors(
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]], error: type[ModelError]
) -> None:
    """Whatever a server answers, only errors of the model come out."""
    async with peer(answer) as url, client_of(url) as client:
        with pytest.raises(error):
            await client.draft(REQUEST)


@dataclass
class Heard:
    """What a peer was asked: path, headers and body of each request."""

    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)


@asynccontextmanager
async def listening(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[tuple[str, Heard]]:
    """A server that keeps each request whole and then does as told."""
    heard = Heard()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            heard.paths.append(first)
            heard.headers.append(headers)
            heard.bodies.append(json.loads(await reader.readexactly(int(headers["content-length"]))))
            await answer(writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


ACCEPTED = say("202 Accepted", b'{"lora": "base", "resident": true}')


async def test_a_prefetch_says_who_and_where() -> None:
    """The hint names the radiologist, and its header the owner whose LoRA a cluster routes by."""
    async with listening(ACCEPTED) as (url, heard), client_of(url) as client:
        await client.prefetch("DOE^JANE/1")
    assert heard.paths == ["POST /v1/prefetch HTTP/1.1"]
    assert heard.bodies == [{"radiologist": "DOE^JANE/1"}]
    assert heard.headers[0][OWNER_HEADER] == "rad/DOE%5EJANE%2F1"


@pytest.mark.parametrize("status", ["404 Not Found", "422 Unprocessable Content", "503 Service Unavailable"])
async def test_a_server_that_knows_no_prefetch_is_a_model_error(status: str) -> None:
    """A refused hint raises a ModelError, which the prefetcher logs."""
    async with peer(say(status)) as url, client_of(url) as client:
        with pytest.raises(ModelError):
            await client.prefetch("900001")


async def test_a_draft_is_routed_by_its_signer_and_traced_by_its_id() -> None:
    """A draft carries its signer's owner and its id as headers, and the case's opaque name in its body."""
    request = DraftRequest(id="D0123456789abcdef", findings="Nodule.", radiologist="900001", case="c0ffee")
    async with listening(say("409 Conflict")) as (url, heard), client_of(url) as client:
        with pytest.raises(Superseded):
            await client.draft(request)
    [headers] = heard.headers
    assert (headers[OWNER_HEADER], headers["x-request-id"]) == ("rad/900001", "D0123456789abcdef")
    assert heard.bodies[0]["case"] == "c0ffee"


@pytest.mark.parametrize("id", ["A900001", "Müller\r\nx: y", "", "D0123456789ABCDEF"])
async def test_only_ids_of_our_own_making_become_headers(id: str) -> None:
    """An id that a batch brought along may be an accession: it stays in the body. No signer means no route."""
    async with listening(say("409 Conflict")) as (url, heard), client_of(url) as client:
        with pytest.raises(Superseded):
            await client.draft(DraftRequest(id=id, findings="Nodule."))
    [headers] = heard.headers
    assert not {OWNER_HEADER, "x-request-id", "x"} & set(headers)
    assert heard.bodies[0]["id"] == id


async def test_a_connection_cut_half_way_is_unavailable() -> None:
    """A server that closes in the middle of its answer raises ModelUnavailable."""

    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{")
        await writer.drain()

    async with peer(cut) as url, client_of(url) as client:
        with pytest.raises(ModelUnavailable):
            await client.draft(REQUEST)


async def test_silence_ends_at_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never answers costs no more than the timeout, and a hint no more than its own."""
    monkeypatch.setattr("radbridge_adapters.model.client._PREFETCH_S", PATIENCE_S / 10)
    asked, released = asyncio.Event(), asyncio.Event()

    async def be_silent(_: asyncio.StreamWriter) -> None:
        asked.set()
        await released.wait()

    async with peer(be_silent) as url, client_of(url) as client:
        clock = clock_of_loop(monkeypatch)
        for asking, limit_s in ((client.draft(REQUEST), PATIENCE_S), (client.prefetch("900001"), PATIENCE_S / 10)):
            asked.clear()
            waiting = asyncio.ensure_future(asking)
            await asked.wait()
            began = clock()
            await pass_until(clock, waiting.done, by_s=limit_s / 2)
            assert clock() - began < 5 * limit_s
            with pytest.raises(DeadlinePassed, match=f"within {limit_s:g} s"):
                await waiting
        released.set()


async def test_cancelling_closes_the_connection() -> None:
    """A cancelled request hangs up, so that the server can stop working on it."""
    asked, hung_up = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        try:
            while await reader.read(1024):
                pass
            hung_up.set()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, client_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        asking = asyncio.create_task(client.draft(REQUEST))
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(hung_up.wait(), 60)


@pytest.mark.parametrize("url", ["", "localhost", "ftp://host", "http://", "http://[::1"])
def test_a_url_that_can_not_be_used_is_told(url: str) -> None:
    """A URL without scheme or host raises ConfigError."""
    with pytest.raises(ConfigError):
        ModelClient(url, 1.0)


async def test_no_proxy_ever_sees_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not used."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with model_server(EchoEngine()) as url, client_of(url) as client:
        assert (await client.draft(REQUEST)).draft
