"""A system that subscribed: it takes notifications on a socket, answers as a test wants, and keeps what it got."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One notification."""

    method: str
    path: str
    headers: dict[str, str]
    document: Any

    @property
    def kind(self) -> str:
        """The type of a topic's notification."""
        return str(self.part("type"))

    @property
    def numbers(self) -> list[int]:
        """The event numbers in it."""
        status = self.document["entry"][0]["resource"]
        if status["resourceType"] == "SubscriptionStatus":
            return [int(one["eventNumber"]) for one in status.get("notificationEvent", ())]
        parts = [one["part"] for one in status["parameter"] if one["name"] == "notification-event"]
        return [int(p["valueString"]) for part in parts for p in part if p["name"] == "event-number"]

    def part(self, name: str) -> Any:
        """A value of the status, in R4's or R4B's form."""
        status = self.document["entry"][0]["resource"]
        if status["resourceType"] == "SubscriptionStatus":
            return status[name]
        one = next(one for one in status["parameter"] if one["name"] == name)
        return next(value for key, value in one.items() if key.startswith("value"))


@dataclass(eq=False, slots=True)
class Subscriber:
    """What `subscriber` runs."""

    status: int | None = 200
    """What it answers; None: it never answers."""
    told: list[Told] = field(default_factory=list)
    url: str = ""
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, condition: Callable[[], object], *, within_s: float = 60.0) -> None:
        """Wait until what came fulfils the condition."""
        async with asyncio.timeout(within_s), self.came:
            await self.came.wait_for(lambda: bool(condition()))

    def of_kind(self, kind: str) -> list[Told]:
        """The topic's notifications of one type."""
        return [one for one in self.told if one.kind == kind]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, requests one after the other."""
        try:
            while True:
                await self._one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = first.split()
        async with self.came:
            self.told.append(
                Told(method=method, path=path, headers=headers, document=json.loads(body) if body else None)
            )
            self.came.notify_all()
        if self.status is None:
            await asyncio.Event().wait()
        writer.write(f"HTTP/1.1 {self.status} Told\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()


@asynccontextmanager
async def subscriber(context: ssl.SSLContext | None = None) -> AsyncIterator[Subscriber]:
    """A subscriber on a port of its own; with a context, by TLS."""
    made = Subscriber()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(made.handle(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    made.url = "http{}://{}:{}/hook".format("s" if context else "", *server.sockets[0].getsockname())
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
