"""The proxy that torture runs put between everybody: what it does to a connection is what it was told to do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.support.proxy import Fate, Proxy, proxied


@dataclass
class Echo:
    """A server that gives back what it got, and keeps it."""

    name: bytes = b""
    got: bytes = b""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1024):
                self.got += data
                writer.write(self.name + data)
            writer.write(b"bye")
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.ended.set()
            writer.close()


@asynccontextmanager
async def echoing(name: bytes = b"") -> AsyncIterator[Echo]:
    echo = Echo(name)
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    async with server:
        yield echo


async def ask(proxy: Proxy, data: bytes) -> bytes:
    """Send, and read to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(data)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def test_without_a_fate_all_passes() -> None:
    """Both ends see what they would have seen without it, the half-closed connection's answer included."""
    async with echoing() as echo, proxied("127.0.0.1", echo.port) as proxy:
        assert await ask(proxy, b"x" * 100_000) == b"x" * 100_000 + b"bye"


async def test_a_cut_in_mid_frame() -> None:
    """After so many bytes both ends are reset, and not one byte more has passed."""
    async with echoing() as echo, proxied("127.0.0.1", echo.port, lambda: Fate(cut_after=7)) as proxy:
        with pytest.raises(ConnectionResetError):
            await ask(proxy, b"0123456789")
        await echo.ended.wait()
        while not proxy.cuts:  # it counts when both ends are done
            await asyncio.sleep(0.001)
        assert b"0123456".startswith(echo.got)
        assert proxy.cuts == 1


async def test_a_half_close() -> None:
    """The server reads its end after so many bytes, and what it answers still arrives."""
    async with echoing() as echo, proxied("127.0.0.1", echo.port, lambda: Fate(half_close_after=4)) as proxy:
        assert await ask(proxy, b"0123456789") == b"0123bye"
        assert echo.got == b"0123"


async def test_a_switch() -> None:
    """Another server takes over: what is open breaks, what comes next goes there."""
    async with echoing(b"one:") as one, echoing(b"two:") as two, proxied("127.0.0.1", one.port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"a")
        assert await reader.readexactly(5) == b"one:a"
        proxy.switch("127.0.0.1", two.port)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert await ask(proxy, b"b") == b"two:bbye"


async def test_nobody_behind_it() -> None:
    """Where the server is gone a client is reset, as by a router without a way there."""
    with socket.socket() as taken:  # and not listening: nobody else can come to listen there
        taken.bind(("127.0.0.1", 0))
        async with proxied(*taken.getsockname()) as proxy:
            with pytest.raises(ConnectionError):
                await ask(proxy, b"x")
