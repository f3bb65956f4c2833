"""The balancer of deploy/compose before two gateways: haproxy itself, with its own file."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from radbridge.config import Site
from radbridge.flow.holding import SoleHolder
from radbridge.flow.intake import JournalIntake
from radbridge.journal import Journal
from radbridge.metrics import Metrics
from radbridge.wire import AsgiApp, Holder, Receive, Scope, Send
from radbridge_adapters.fhircast import wire
from tests.support.fhircast import report_context
from tests.support.fhircast_client import application
from tests.support.gateway import free_port
from tests.support.live import make_site
from tests.support.serving import eventually
from tests.support.sharing import Elsewhere

CONFIG = Path(__file__).parents[3] / "deploy" / "compose" / "haproxy.cfg"


@asynccontextmanager
async def hub(site: Site, journal: Journal, holder: Holder) -> AsyncIterator[int]:
    """The port of a gateway's hub; the balancer is told that it lives."""
    cast = wire(site, JournalIntake(journal, Metrics(), lambda: None, holder=holder)).mounts[0].app
    config = uvicorn.Config(alive(cast), port=0, log_config=None, lifespan="off", ws="websockets-sansio")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


def alive(app: AsgiApp) -> AsgiApp:
    """The application, and 200 at what the balancer asks."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != "/healthz":
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    return answer


@asynccontextmanager
async def balanced(folder: Path, port: int, *gateways: int) -> AsyncIterator[None]:
    """A haproxy at `port` before these gateways' ports: its file with addresses of this machine."""
    program = shutil.which("haproxy")
    if program is None and not os.environ.get("CI"):
        pytest.skip("haproxy is not installed")
    assert program, "haproxy is not installed: apt-get install haproxy"
    text = CONFIG.read_text().replace(" resolvers docker init-addr none", "")
    text = text.replace("bind :8080", f"bind 127.0.0.1:{port}").replace("bind :2575", f"bind 127.0.0.1:{free_port()}")
    for number, gateway in enumerate(gateways, 1):
        text = re.sub(rf"gateway-{number}:\d+", f"127.0.0.1:{gateway}", text)
    config = folder / "haproxy.cfg"
    config.write_text(text)
    process = await asyncio.create_subprocess_exec(
        *(program, "-db", "-f", str(config)), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            while not await is_up(http, port):
                assert process.returncode is None
                await asyncio.sleep(0.01)
        yield
    finally:
        process.terminate()
        await process.wait()


async def is_up(http: httpx.AsyncClient, port: int) -> bool:
    """Whether it answers for a gateway."""
    try:
        return (await http.get(f"http://127.0.0.1:{port}/healthz")).is_success
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("holders", [(SoleHolder, Elsewhere), (Elsewhere, SoleHolder)], ids=["first", "second"])
async def test_the_hub_is_found_through_the_balancer(
    tmp_path: Path, holders: Sequence[Callable[[], SoleHolder]]
) -> None:
    """Whichever gateway a request or a socket comes to first: it ends at the one that has the hub."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    site = make_site(tmp_path, fhir={"open": True, "base_url": f"{base}/fhir"})
    async with AsyncExitStack() as stack:
        journal = await Journal.open(site.store)
        stack.push_async_callback(journal.close)
        ports = [await stack.enter_async_context(hub(site, journal, holder())) for holder in holders]
        await stack.enter_async_context(balanced(tmp_path, port, *ports))
        cast = await stack.enter_async_context(application(f"{base}/fhircast"))
        opened = await cast.post("DiagnosticReport-open", report_context("A1"))
        assert opened.status_code == 202, opened.text
        await cast.context()
