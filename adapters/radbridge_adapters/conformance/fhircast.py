"""What a FHIRcast hub has to do with the drafts that RadBridge shares as content. FHIRcast 3.0.0 (STU3).

The checks take both parts themselves: the reporting application that opens a report, and RadBridge that adds a draft.
They use nothing of RadBridge's own hub or client, so that they may judge those too.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import orjson
import websockets

from radbridge.case import Case
from radbridge_adapters.conformance.check import Broken, Check, Level, expect
from radbridge_adapters.conformance.specimen import FIRST, SECOND, new_case, new_draft
from radbridge_adapters.resources.codes import ACCESSION, REPORT, concept
from radbridge_adapters.resources.draft import Composer
from radbridge_adapters.resources.json import write_json
from radbridge_adapters.resources.times import write_instant
from radbridge_adapters.rest.client import FORM

_EVENTS = "DiagnosticReport-open,DiagnosticReport-update,DiagnosticReport-select,DiagnosticReport-close,SyncError"
_ENDPOINT = "hub.channel.endpoint"
_LARGEST = 1 << 22
_UNGUESSABLE = 16

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class HubTarget:
    """A hub. Without a `topic` each check makes one up."""

    url: str
    http: httpx.AsyncClient
    composer: Composer
    timeout_s: float
    topic: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    """For a socket whose URL is `wss://`."""

    @asynccontextmanager
    async def session(self) -> AsyncIterator[_Session]:
        """A report opened in a topic, and a subscriber that hears of it; closed at the end."""
        session = _Session(self, self.topic or secrets.token_urlsafe(16), new_case())
        endpoint = await session.subscribe()
        tls = self.tls if endpoint.startswith("wss://") else None
        async with websockets.connect(
            endpoint, ssl=tls, proxy=None, max_size=_LARGEST, open_timeout=self.timeout_s
        ) as socket:
            session.socket = socket
            session.confirmation = await session.receive()
            await session.publish("DiagnosticReport-open", session.opening())
            session.opened = await session.hear("DiagnosticReport-open")
            try:
                yield session
            finally:
                await session.post(session.event("DiagnosticReport-close", session.opening()))


class _Session:
    socket: websockets.ClientConnection
    confirmation: Document
    opened: Document

    def __init__(self, target: HubTarget, topic: str, case: Case) -> None:
        self.target = target
        self.topic = topic
        self.case = case
        self.report = f"conformance-{secrets.token_hex(4)}"
        self.endpoint = ""

    async def subscribe(self, mode: str = "subscribe") -> str:
        """The WebSocket's URL. Raises Broken."""
        form = {"hub.mode": mode, "hub.topic": self.topic, "hub.events": _EVENTS, "hub.channel.type": "websocket"}
        form |= {"subscriber.name": "RadBridge conformance"} | ({_ENDPOINT: self.endpoint} if self.endpoint else {})
        answer = await self.target.http.post(
            self.target.url, content=urlencode(form), headers={"content-type": FORM, "accept": "application/json"}
        )
        expect(answer.status_code == httpx.codes.ACCEPTED, f"a {mode} request was answered HTTP {answer.status_code}")
        if mode == "subscribe":
            self.endpoint = str(_object(answer.content).get(_ENDPOINT, ""))
            expect(self.endpoint.startswith(("ws://", "wss://")), f"the answer has no {_ENDPOINT} with a ws:// URL")
        return self.endpoint

    def opening(self) -> list[Document]:
        """The context that opens the report."""
        report = {
            "resourceType": "DiagnosticReport",
            "id": self.report,
            "identifier": [{"type": concept(ACCESSION), "value": self.case.key.accession}],
            "status": "preliminary",
            "code": concept(REPORT),
            "subject": {"reference": f"Patient/{self.report}"},
        }
        return [
            {"key": "report", "resource": report},
            {"key": "patient", "resource": {"resourceType": "Patient", "id": self.report}},
        ]

    def entry(self, text: str) -> Document:
        """The draft's Observation, put."""
        made = self.target.composer.compose(self.case, new_draft(text)).observation
        observation = {"resourceType": "Observation", "id": self.observation, **made}
        return {"request": {"method": "PUT"}, "fullUrl": f"Observation/{self.observation}", "resource": observation}

    @property
    def observation(self) -> str:
        return f"radbridge-{self.report}"

    def update(self, *entries: Document, version: str) -> Document:
        """An update event; an empty version leaves it out."""
        bundle = {"resourceType": "Bundle", "id": str(uuid.uuid4()), "type": "transaction", "entry": list(entries)}
        context = [
            {"key": "report", "reference": {"reference": f"DiagnosticReport/{self.report}"}},
            {"key": "updates", "resource": bundle},
        ]
        event = self.event("DiagnosticReport-update", context)
        event["event"] |= {"context.versionId": version} if version else {}
        return event

    def event(self, name: str, context: Sequence[Document]) -> Document:
        about = {"hub.topic": self.topic, "hub.event": name, "context": list(context)}
        return {"timestamp": write_instant(datetime.now(UTC)), "id": str(uuid.uuid4()), "event": about}

    async def post(self, event: Mapping[str, Any]) -> int:
        """The status that the hub answers."""
        headers = {"content-type": "application/json"}
        return (await self.target.http.post(self.target.url, content=write_json(event), headers=headers)).status_code

    async def publish(self, name: str, context: Sequence[Document]) -> Document:
        """Raises Broken unless the hub takes it."""
        return await self.share(self.event(name, context))

    async def share(self, event: Document) -> Document:
        """Raises Broken unless the hub takes it."""
        status = await self.post(event)
        expect(200 <= status < 300, f"{event['event']['hub.event']} was answered HTTP {status}, not 202")
        return event

    async def receive(self) -> Document:
        """The next message on the socket. Raises TimeoutError."""
        async with asyncio.timeout(self.target.timeout_s):
            return _object(await self.socket.recv())

    async def hear(self, name: str) -> Document:
        """The next event of this name, acknowledged; others are acknowledged too. Raises TimeoutError."""
        async with asyncio.timeout(self.target.timeout_s):
            while True:
                message = _object(await self.socket.recv())
                if "event" not in message:
                    continue
                await self.socket.send(orjson.dumps({"id": message.get("id"), "status": "200"}).decode())
                if str(message["event"].get("hub.event", "")).lower() == name.lower():
                    return message

    async def context(self) -> Document:
        """The current context."""
        answer = await self.target.http.get(f"{self.target.url}/{quote(self.topic, safe='')}")
        expect(answer.status_code == httpx.codes.OK, f"GET of the context was answered HTTP {answer.status_code}")
        return _object(answer.content)

    async def version(self) -> str:
        """The current `context.versionId`. Raises Broken."""
        version = (await self.context()).get("context.versionId", "")
        expect(isinstance(version, str) and version, "the current context has no context.versionId")
        return str(version)

    async def texts(self) -> list[str]:
        """The text of the draft's Observation in the content; none when it isn't there."""
        items = [item for item in (await self.context()).get("context", ()) if item.get("key") == "content"]
        entries = [entry for item in items for entry in item.get("resource", {}).get("entry", ())]
        mine = [e["resource"] for e in entries if e.get("resource", {}).get("id") == self.observation]
        return [str(one.get("valueString", "")) for one in mine]


def _object(raw: bytes | str) -> Document:
    document = orjson.loads(raw)
    if not isinstance(document, dict):
        raise Broken("the hub's answer is no JSON object")
    return document


async def _subscribe(target: HubTarget) -> None:
    async with target.session() as session:
        said = session.confirmation
        expect(said.get("hub.mode") == "subscribe", "the first message on the socket is no confirmation")
        expect(said.get("hub.topic") == session.topic, "the confirmation names another topic")
        expect(isinstance(said.get("hub.lease_seconds"), int), "the confirmation has no hub.lease_seconds")
        secret = session.endpoint.rstrip("/").rpartition("/")[2]
        expect(len(secret) >= _UNGUESSABLE, "the WebSocket's URL can be guessed")


async def _broadcast(target: HubTarget) -> None:
    async with target.session() as session:
        sent = await session.share(session.update(session.entry(FIRST), version=await session.version()))
        heard = await session.hear("DiagnosticReport-update")
        expect(heard.get("id") == sent["id"], "the event is passed on under another id")
        expect(heard["event"].get("context.versionId"), "the event is passed on without the new context.versionId")


async def _content(target: HubTarget) -> None:
    async with target.session() as session:
        for text in (FIRST, SECOND):
            await session.share(session.update(session.entry(text), version=await session.version()))
            expect(await session.texts() == [text], "the draft is not in the current content, once, as it was put")


async def _stale(target: HubTarget) -> None:
    async with target.session() as session:
        old = await session.version()
        await session.share(session.update(session.entry(FIRST), version=old))
        status = await session.post(session.update(session.entry(SECOND), version=old))
        expect(status == 409, f"an update of an old version was answered HTTP {status}, not 409")
        expect(await session.texts() == [FIRST], "an update of an old version has changed the content")


async def _versionless(target: HubTarget) -> None:
    async with target.session() as session:
        status = await session.post(session.update(session.entry(FIRST), version=""))
        expect(400 <= status < 500, f"an update without context.versionId was answered HTTP {status}")


async def _no_post(target: HubTarget) -> None:
    async with target.session() as session:
        entry = session.entry(FIRST) | {"request": {"method": "POST"}}
        status = await session.post(session.update(entry, version=await session.version()))
        expect(400 <= status < 500, f"an entry to be POSTed was answered HTTP {status}")


async def _withdraw(target: HubTarget) -> None:
    async with target.session() as session:
        await session.share(session.update(session.entry(FIRST), version=await session.version()))
        gone = {"fullUrl": f"Observation/{session.observation}", "request": {"method": "DELETE"}}
        await session.share(session.update(gone, version=await session.version()))
        expect(await session.texts() == [], "a draft that was taken back is still in the content")


async def _closed(target: HubTarget) -> None:
    async with target.session() as session:
        version = await session.version()
        await session.publish("DiagnosticReport-close", session.opening())
        status = await session.post(session.update(session.entry(FIRST), version=version))
        expect(400 <= status < 500, f"an update of a report that is closed was answered HTTP {status}")


async def _any_case(target: HubTarget) -> None:
    async with target.session() as session:
        event = session.update(session.entry(FIRST), version=await session.version())
        event["event"]["hub.event"] = "diagnosticreport-UPDATE"
        await session.share(event)
        await session.hear("DiagnosticReport-update")


async def _unsubscribe(target: HubTarget) -> None:
    async with target.session() as session:
        await session.subscribe("unsubscribe")
        message = await session.receive()
        while "hub.mode" not in message:
            message = await session.receive()
        expect(message["hub.mode"] == "denied", "no denial comes over the socket after an unsubscribe request")


CHECKS: Sequence[Check[HubTarget]] = tuple(
    Check(id=id, level=level, promise=promise, clause=f"FHIRcast 3.0.0 {clause}", run=run)
    for id, level, promise, clause, run in (
        ("cast-subscribe", Level.MUST, "confirms a subscription on a socket that can't be guessed", "2.4", _subscribe),
        (
            "cast-broadcast",
            Level.MUST,
            "passes an update on, its sender included, under the same id",
            "2.5",
            _broadcast,
        ),
        ("cast-content", Level.MUST, "keeps a draft in the content, and a newer one in its place", "2.10", _content),
        ("cast-stale", Level.MUST, "refuses an update of an old version whole, with 409", "2.10", _stale),
        ("cast-versionless", Level.MUST, "refuses an update that names no version", "2.10", _versionless),
        ("cast-no-post", Level.MUST, "takes PUT and DELETE only", "2.10", _no_post),
        ("cast-withdraw", Level.MUST, "takes a draft out of the content", "2.10", _withdraw),
        ("cast-closed", Level.MUST, "refuses updates of a report that is closed", "2.10", _closed),
        ("cast-case", Level.SHOULD, "reads event names in any case of letters", "2.3", _any_case),
        ("cast-unsubscribe", Level.SHOULD, "ends a subscription with a denial on the socket", "2.4", _unsubscribe),
    )
)
