"""An application at a FHIRcast hub: websockets and httpx, and nothing of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import websockets

from tests.support.fhircast import event
from tests.support.live import LiveGateway

FIELDS = {
    "hub_mode": "hub.mode",
    "hub_events": "hub.events",
    "hub_lease_seconds": "hub.lease_seconds",
    "hub_channel_endpoint": "hub.channel.endpoint",
    "subscriber_name": "subscriber.name",
}
ALL = "DiagnosticReport-*,Patient-*,SyncError"


@dataclass
class Cast:
    """One application in one session."""

    url: str
    topic: str
    http: httpx.AsyncClient
    endpoint: str = ""
    told: list[dict[str, Any]] = field(default_factory=list)
    """Confirmations and denials."""
    events: list[dict[str, Any]] = field(default_factory=list)
    answers: Mapping[str, Any] = field(default_factory=lambda: {"status": 200})
    """What it says to each event; `mute` says nothing."""
    mute: bool = False
    closed: int = 0
    version: str = ""
    """As the last event had it."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def post(self, name: str, context: list[dict[str, Any]], version: str = "", **more: Any) -> httpx.Response:
        """Publish an event."""
        said = event(name, context, topic=self.topic, version=version, **more)
        return await self.http.post(self.url, json=said)

    async def form(self, **more: str) -> httpx.Response:
        """Subscribe, or what `more` says."""
        fields = {"hub.channel.type": "websocket", "hub.mode": "subscribe", "hub.topic": self.topic, "hub.events": ALL}
        return await self.http.post(self.url, data=fields | {FIELDS.get(k, k): v for k, v in more.items()})

    async def context(self) -> dict[str, Any]:
        """The current context."""
        found: dict[str, Any] = (await self.http.get(f"{self.url}/{self.topic}")).raise_for_status().json()
        return found

    def content(self, context: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The resources of a context's content by type and id."""
        bundle = context["context"][-1]["resource"]
        found = (entry["resource"] for entry in bundle.get("entry", ()))
        return {f"{r['resourceType']}/{r['id']}": r for r in found}

    async def wait(self, count: int = 1, name: str = "") -> list[dict[str, Any]]:
        """The first `count` events of that name, waited for."""
        async with asyncio.timeout(60):
            while len(found := [e for e in self.events if not name or e["event"]["hub.event"] == name]) < count:
                self._news.clear()
                await self._news.wait()
        return found

    async def until_told(self, count: int = 1) -> dict[str, Any]:
        """The `count`th confirmation or denial."""
        async with asyncio.timeout(60):
            while len(self.told) < count:
                self._news.clear()
                await self._news.wait()
        return self.told[count - 1]

    async def until_closed(self) -> int:
        """The code with which the socket was closed."""
        async with asyncio.timeout(60):
            while not self.closed:
                self._news.clear()
                await self._news.wait()
        return self.closed

    async def listen(self, socket: websockets.ClientConnection) -> None:
        """Keep what comes, answer the events."""
        with suppress(websockets.ConnectionClosed):
            async for raw in socket:
                document = json.loads(raw)
                if "event" not in document:
                    self.told.append(document)
                elif document["event"]["hub.event"] != "heartbeat":
                    self.events.append(document)
                    self.version = document["event"].get("context.versionId", self.version)
                    if not self.mute:
                        await socket.send(json.dumps({"id": document["id"], **self.answers}))
                self._news.set()
        self.closed = socket.close_code or 1006
        self._news.set()


def connect(endpoint: str, **more: Any) -> websockets.connect:
    """A socket at an address, with patience: machines stand still for seconds."""
    return websockets.connect(endpoint, proxy=None, open_timeout=60, ping_interval=None, **more)


async def hear(socket: websockets.ClientConnection) -> str:
    """What comes next, but for heartbeats: they come every ten seconds."""
    while '"heartbeat"' in (said := str(await socket.recv())):
        pass
    return said


def owed(gateway: LiveGateway) -> int:
    """How many answers the hub waits for."""
    [app] = [mount.app for mount in gateway.mounts if mount.path == "/fhircast"]
    links = app._subscriptions._links.values()  # type: ignore[attr-defined]  # noqa: SLF001 - nobody else is told
    return sum(len(link.subscriber._unanswered) for link in links)  # noqa: SLF001


@asynccontextmanager
async def application(url: str, topic: str = "topic", **form: str) -> AsyncIterator[Cast]:
    """An application that has subscribed and is connected and confirmed."""
    # The server closes what is idle for 5 s: on a machine that stood still, just when the next request goes there.
    anew = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=60, trust_env=False, limits=anew) as http:
        cast = Cast(url=url, topic=topic, http=http)
        answer = await cast.form(**form)
        assert answer.status_code == 202, answer.text
        cast.endpoint = answer.json()["hub.channel.endpoint"]
        async with connect(cast.endpoint) as socket:
            listening = asyncio.create_task(cast.listen(socket))
            await cast.until_told()
            try:
                yield cast
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
