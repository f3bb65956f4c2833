"""The port of a replica that listens itself."""

from __future__ import annotations

import asyncio
import socket

import pytest
from starlette.responses import PlainTextResponse

from radbridge_adapters.model.client import _KEEP_ALIVE_S
from radbridge_model_server.web.listener import KEEP_ALIVE_S, Listener
from tests.support.limits import clock_of_loop


async def test_a_gateways_connections_outlive_its_own_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is kept for longer than a gateway keeps it unused, so that no request crosses the closing."""
    assert KEEP_ALIVE_S > 2 * _KEEP_ALIVE_S
    listening = socket.create_server(("127.0.0.1", 0))
    server = Listener(PlainTextResponse("yes"), listening, grace_s=1)
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    clock = clock_of_loop(monkeypatch)
    for _ in range(3):
        writer.write(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        assert (await reader.readuntil(b"yes")).startswith(b"HTTP/1.1 200 OK")
        clock.skip(_KEEP_ALIVE_S + 5)
        await asyncio.sleep(0.01)
    clock.skip(KEEP_ALIVE_S)
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()
    await server.close()
