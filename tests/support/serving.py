"""A model server's parts around an echo engine, with a real registry, and its HTTP interface on a real port."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import structlog
import uvicorn

from radbridge import logs
from radbridge.contract import DraftRequest
from radbridge.registry import LoraRegistry, LoraVersion
from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.service import Service
from radbridge_model_server.settings import Lifecycle, Settings
from radbridge_model_server.testing import EchoEngine
from radbridge_model_server.web.api import build_api

BASE_DIGEST = "b" * 64
"""What `tests.support.registry` publishes for."""
FINDINGS = "There is a 12 mm nodule in the right upper lobe."


def echo(**options: Any) -> EchoEngine:
    """An engine for the LoRAs of `tests.support.registry`."""
    return EchoEngine(base_digest=BASE_DIGEST, **options)


def make_service(
    engine: EchoEngine | None, registry: LoraRegistry | None = None, *, site_lora: str = "", **options: Any
) -> Service:
    """A service of this engine and registry; options of `Lifecycle` and `Settings` by their names."""
    lifecycle = {key: options.pop(key) for key in Lifecycle.model_fields.keys() & options.keys()}
    settings = Settings(engine="echo", site_lora=site_lora, lifecycle=Lifecycle(**lifecycle), **options)
    chain = LoraChain(
        registry=registry,
        packaged={},
        personas=settings.personas,
        site_lora=site_lora,
        canary_share=settings.lifecycle.canary_share,
    )
    return Service(settings=settings, engine=engine, chain=chain)


def ask(id: str = "d1", **changes: Any) -> DraftRequest:
    """A request by radiologist 900001."""
    return DraftRequest(**{"id": id, "findings": FINDINGS, "radiologist": "900001"} | changes)


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait, for at most 60 s, until something holds."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def listening(service: Service) -> AsyncIterator[str]:
    """The URL of the service's API on a free port."""
    # Idle connections stay: a machine that stands still would have one closed just when the next request goes there.
    config = uvicorn.Config(
        build_api(service), host="127.0.0.1", port=0, log_config=None, lifespan="off", timeout_keep_alive=600
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        await service.close()
        server.should_exit = True
        await serving


@asynccontextmanager
async def serve(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """The service's API on a free port, and a client for it."""
    async with (
        listening(service) as url,
        httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


@contextmanager
def captured_logs(level: str = "debug") -> Iterator[io.StringIO]:
    """Logging set up as the server does it, into a buffer; put back afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    buffer = io.StringIO()
    logs.configure(level=level, stream=buffer)
    try:
        yield buffer
    finally:
        root.handlers[:], level_before, sys.excepthook, threading.excepthook = before
        root.setLevel(level_before)
        structlog.reset_defaults()


class Voice:
    """Says one thing to whatever it is asked, and keeps that."""

    def __init__(self, said: str) -> None:
        self.said = said
        self.asked: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.asked.append(prompt)
        return self.said


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """Loads wait here until it is opened; each is noted."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.loads: list[str] = []

    async def __call__(self, version: LoraVersion) -> None:
        self.loads.append(version.name)
        await self.opened.wait()
