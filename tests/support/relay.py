"""A relay before a real HTTP server: it passes requests on, and answers some itself as a server under stress would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx


@dataclass(frozen=True, kw_only=True, slots=True)
class Passing:
    """One request on its way."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Stress = Callable[[Passing], int | None]
"""The status to answer in the server's place; None: pass it on."""


@dataclass(eq=False, slots=True)
class Relay:
    """What `relay` runs."""

    target: httpx.AsyncClient
    stress: Stress
    after: Callable[[Passing], None] = lambda _: None
    """Called when the server has answered, before anybody hears of it."""
    seen: list[Passing] = field(default_factory=list)
    url: str = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            passing = Passing(method=first.split()[0], path=first.split()[1], headers=headers, body=body)
            self.seen.append(passing)
            writer.write(await self._answer(passing))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, passing: Passing) -> bytes:
        status = self.stress(passing)
        if status is not None:
            return _response(status, {"content-type": "application/fhir+json"}, b'{"resourceType":"OperationOutcome"}')
        kept = {name: value for name, value in passing.headers.items() if name not in ("host", "connection")}
        reply = await self.target.request(passing.method, passing.path, headers=kept, content=passing.body)
        self.after(passing)
        names = ("content-type", "etag", "location")
        return _response(reply.status_code, {n: reply.headers[n] for n in names if n in reply.headers}, reply.content)


def _response(status: int, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} Told", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"content-length: {len(body)}", "connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


@asynccontextmanager
async def relay(base: str, stress: Stress) -> AsyncIterator[Relay]:
    """A relay to the server at `base`; its `url` has the same path."""
    target = httpx.URL(base)
    async with httpx.AsyncClient(base_url=target.copy_with(path="/"), timeout=60) as client:
        made = Relay(target=client, stress=stress)
        server = await asyncio.start_server(made.handle, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        made.url = f"http://{host}:{port}{target.path}"
        async with server:
            yield made
