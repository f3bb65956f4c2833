"""A server that answers HTTP with whatever bytes a test wants, for faults that no real server has on demand."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request."""

    path: str
    head: str
    body: Any


Reply = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass(eq=False, slots=True)
class HttpPeer:
    """Answers by path; what it has no reply for is 404. One request a connection."""

    replies: dict[str, Reply]
    asked: list[Asked] = field(default_factory=list)
    left: int = 0
    """Clients that closed before their reply was done."""
    url: str = ""

    def asked_for(self, path: str) -> list[Asked]:
        """The requests for a path, oldest first."""
        return [asked for asked in self.asked if asked.path == path]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((int(v) for k, _, v in _fields(head) if k.lower() == "content-length"), 0)
            body = await reader.readexactly(length)
            asked = Asked(path=head.split()[1], head=head, body=_read(body))
            self.asked.append(asked)
            replying = asyncio.ensure_future(
                self.replies.get(asked.path, answer(404, {"detail": "Not Found"}))(asked, writer)
            )
            leaving = asyncio.ensure_future(reader.read(1))
            await asyncio.wait({replying, leaving}, return_when=asyncio.FIRST_COMPLETED)
            self.left += not replying.done()
            for task in (replying, leaving):
                task.cancel()
            await asyncio.gather(replying, leaving, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def _read(body: bytes) -> Any:
    """JSON as what it says; a form as text."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode()


def _fields(head: str) -> list[tuple[str, str, str]]:
    return [line.partition(": ") for line in head.split("\r\n")]


def answer(status: int, body: Any, **headers: str) -> Reply:
    """A whole JSON answer."""
    return raw(json.dumps(body).encode(), status=status, **headers)


def raw(body: bytes, status: int = 200, **headers: str) -> Reply:
    """A whole answer, whatever it is."""
    told = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())

    async def reply(_: Asked, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} Told\r\n{told}content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return reply


def stream(*events: Any, silent: bool = False) -> Reply:
    """Server-sent events, then the end, or `silent` with the connection open. Bytes go as they are."""

    async def reply(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for event in events:
            writer.write(event if isinstance(event, bytes) else b"data: %s\n\n" % json.dumps(event).encode())
            await writer.drain()
        if silent:
            await asyncio.Event().wait()

    return reply


@asynccontextmanager
async def run_peer(
    replies: dict[str, Reply], port: int = 0, context: ssl.SSLContext | None = None
) -> AsyncIterator[HttpPeer]:
    """The peer on a port of its own; with a context, by TLS."""
    peer = HttpPeer(replies)
    server = await asyncio.start_server(peer.handle, "127.0.0.1", port, ssl=context)
    peer.url = "http{}://{}:{}".format("s" if context else "", *server.sockets[0].getsockname())
    async with server:
        yield peer
