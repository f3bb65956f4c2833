"""A TCP proxy that does to connections what networks do: cuts them in mid-frame, half-closes, delays, moves house."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

BLOCK = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """What becomes of one connection. One without any lives as long as its two ends want."""

    cut_after: int | None = None
    """Bytes, both ways together; then both ends are reset."""
    half_close_after: int | None = None
    """Bytes from the client; then the server reads their end, and its answers still pass."""
    delay_s: float = 0.0
    """Before each block is passed on, either way."""


@dataclass(eq=False)
class Proxy:
    """Between clients and `upstream`. `draw` is asked once a connection."""

    upstream: tuple[str, int]
    draw: Callable[[], Fate] = Fate
    port: int = 0
    cuts: int = 0
    """Connections that were reset here."""
    _open: set[_Passage] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _stopped: bool = False

    async def start(self) -> None:
        """Listen on loopback; a port of 0 becomes the one that was given."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=BLOCK)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Reset every connection and listen no more."""
        if self._server is not None:
            self._server.close()
        self._stopped = True
        self.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self) -> None:
        """Reset every connection that is open now."""
        for passage in tuple(self._open):
            self.cuts += 1
            passage.reset()

    def switch(self, host: str, port: int) -> None:
        """Another server takes over: open connections are reset, new ones go there."""
        self.upstream = (host, port)
        self.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            there = await asyncio.open_connection(*self.upstream, limit=BLOCK)
        except OSError:
            _reset(writer)
            return
        passage = _Passage(client=(reader, writer), server=there, fate=self.draw())
        self._open.add(passage)
        try:
            if not self._stopped:
                self.cuts += await passage.run()
        finally:
            self._open.discard(passage)
            passage.reset()


@dataclass(eq=False, kw_only=True)
class _Passage:
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    fate: Fate
    passed: int = 0
    sent: int = 0
    was_cut: bool = False

    async def run(self) -> bool:
        """Pass bytes on until both ends are done; whether it was cut here."""
        there = self._pass(self.client[0], self.server[1], from_client=True)
        back = self._pass(self.server[0], self.client[1], from_client=False)
        await asyncio.gather(there, back)
        return self.was_cut

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, from_client: bool) -> None:
        try:
            while data := await source.read(BLOCK):
                if self.fate.delay_s:
                    await asyncio.sleep(self.fate.delay_s)
                if not self._forward(data, target, from_client=from_client):
                    return
                await target.drain()
            if target.can_write_eof():
                target.write_eof()
        except OSError:
            self.reset()

    def _forward(self, data: bytes, target: asyncio.StreamWriter, *, from_client: bool) -> bool:
        """Write what fate lets through; whether this direction goes on."""
        end = self.fate.half_close_after
        if from_client and end is not None and self.sent + len(data) >= end:
            target.write(data[: max(0, end - self.sent)])
            target.write_eof()
            self.sent = end
            return False
        cut = self.fate.cut_after
        if cut is not None and self.passed + len(data) >= cut:
            target.write(data[: max(0, cut - self.passed)])
            self.was_cut = True
            self.reset()
            return False
        target.write(data)
        self.passed += len(data)
        self.sent += len(data) if from_client else 0
        return True

    def reset(self) -> None:
        for _, writer in (self.client, self.server):
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN: what is under way is lost, as it is when a router forgets the connection."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def proxied(host: str, port: int, draw: Callable[[], Fate] = Fate) -> AsyncIterator[Proxy]:
    """A proxy before `host:port`, for the time of a block."""
    proxy = Proxy((host, port), draw)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
