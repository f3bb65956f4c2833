"""The hub on the HTTP port: subscriptions and events by POST, the current context by GET, events over WebSocket.

A topic stands in the path of a GET and is a secret: nothing here logs a path, and the server writes no access log.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import structlog

from radbridge.audit import Note, What, each
from radbridge.config import Site
from radbridge.errors import JournalError, LeaseLost
from radbridge.journal import audit
from radbridge.traces import answering
from radbridge.wire import Desk, Receive, Rejected, Scope, Send
from radbridge_adapters.fhircast.dialect import Dialect
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.hub import TOLD, WIRE, Hub
from radbridge_adapters.fhircast.message import parse_event
from radbridge_adapters.fhircast.names import REPORT, SYNC_ERROR, parse_wanted
from radbridge_adapters.fhircast.subscriptions import Subscriptions, parse_form
from radbridge_adapters.resources.json import write_json
from radbridge_adapters.resources.outcome import Issues
from radbridge_adapters.security.guard import Client, Guard
from radbridge_adapters.security.http import header_of, headers_of
from radbridge_adapters.security.places import places_of

log = structlog.get_logger(__name__)

PATH = "/fhircast"
_WELL_KNOWN = "/.well-known/fhircast-configuration"
_SOCKETS = "/ws/"
_LARGE = 64 * 1024
_TOPIC = re.compile(rb'("hub\.topic"\s*:\s*")[^"]*')
_KEPT = frozenset((400, 413))
"""Faults of a body that are kept for an operator to see; a conflict is how the protocol works."""


class HubApp:
    """An ASGI application; sees paths that begin with `/fhircast`."""

    def __init__(self, site: Site, desk: Desk, hub: Hub, dialect: Dialect) -> None:
        self._site = site
        self._desk = desk
        self._hub = hub
        self._dialect = dialect
        self._guard = Guard(site, desk)
        self._subscriptions = Subscriptions(site.fhircast, hub)
        desk.holder.on_change(self._follow_lease)

    def _follow_lease(self) -> None:
        try:
            _ = self._hub.lease
        except CastFault:
            self._subscriptions.end_all()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one socket."""
        path = scope["path"].removeprefix(PATH)
        try:
            if scope["type"] == "websocket":
                _ = self._hub.lease  # 503 where another gateway has it: a balancer then tries that one
                await self._subscriptions.serve(path.removeprefix(_SOCKETS), receive, send)
                return
            status, document = await self._answer(scope, path, receive)
        except (CastFault, Issues) as fault:
            place = "websocket.http" if scope["type"] == "websocket" else "http"
            again_s = fault.retry_after_s if isinstance(fault, Issues) else 1
            text = str(fault).encode()
            await _send(send, fault.status, text, "text/plain; charset=utf-8", place=place, again_s=again_s)
        except LeaseLost:
            await _send(send, 503, b"another gateway has the hub now; try again", "text/plain; charset=utf-8")
        except JournalError:
            log.exception("journal unavailable")
            await _send(send, 503, b"the event could not be stored; try again", "text/plain; charset=utf-8")
        else:
            await _send(send, status, b"" if document is None else write_json(document), "application/json")

    async def _answer(self, scope: Scope, path: str, receive: Receive) -> tuple[int, Mapping[str, Any] | None]:
        method = scope["method"]
        if method == "GET" and path == _WELL_KNOWN:
            return 200, self._configuration()
        client = await self._guard.identify(scope)
        _ = self._hub.lease  # 503 where another gateway has it
        if method == "GET" and path.count("/") == 1 and len(path) > 1:
            client.require_cast(f"{REPORT}-open", "r")
            session = await self._hub.describe(unquote(path[1:]))
            note = _note_of(client, scope, route="context")
            await self._desk.store.write_first(audit.record_all, each(note, self._hub.subjects(session)))
            return 200, session.describe()
        if method != "POST" or path not in ("", "/"):
            raise CastFault(405 if path in ("", "/") else 404, "route", "POST to the hub's URL, or GET below it")
        body = await _read_body(receive, self._site.http.ws_max_bytes)
        kind = header_of(scope, b"content-type").partition(";")[0].strip().lower()
        if kind == "application/x-www-form-urlencoded":
            return 202, await self._subscribe(scope, body, client)
        if kind not in ("application/json", "application/fhir+json"):
            raise CastFault(415, "content_type", "send application/json, or a form to subscribe")
        await self._publish(scope, body, client)
        return 202, None

    async def _subscribe(self, scope: Scope, body: bytes, client: Client) -> Mapping[str, str]:
        form = parse_form(body)
        match form.get("hub.mode"):
            case "subscribe":
                wanted = parse_wanted(form.get("hub.events", ""))
                for pattern in wanted.patterns:
                    client.require_cast(pattern, "r")
                token = await self._subscriptions.subscribe(form, wanted)
                await self._note_listener(form["hub.topic"], client, scope)
                root = places_of(self._site, scope).root.replace("http", "ws", 1)
                return {"hub.channel.endpoint": f"{root}{PATH}{_SOCKETS}{token}"}
            case "unsubscribe":
                return {"hub.channel.endpoint": self._subscriptions.unsubscribe(form)}
        raise CastFault(400, "mode", "hub.mode must be subscribe or unsubscribe", where="hub.mode")

    async def _note_listener(self, topic: str, client: Client, scope: Scope) -> None:
        """They hear what is open now, and all events from now on; those are noted with the session's digest, too."""
        session, digest = await self._hub.describe(topic), await self._hub.topics.digest(topic)
        note = _note_of(client, scope, route="subscribe", topic=digest[:TOLD])
        await self._desk.store.write_first(audit.record_all, each(note, self._hub.subjects(session)))

    async def _publish(self, scope: Scope, body: bytes, client: Client) -> None:
        peer = (scope.get("client") or ("", 0))[0] or "unknown"
        try:
            apart = len(body) > _LARGE  # milliseconds, in which others would wait for their answers
            event = await asyncio.to_thread(parse_event, body) if apart else parse_event(body)
            if not event.topic:
                raise CastFault(400, "topic", "event.hub.topic is missing", where="hub.topic")
            client.require_cast(str(event.name), "w")
            with answering(self._desk.meter, WIRE):
                await self._hub.post(event, peer)
        except CastFault as fault:
            if fault.status in _KEPT:
                await self._keep(fault, body, peer)
            raise

    async def _keep(self, fault: CastFault, body: bytes, peer: str) -> None:
        raw = _TOPIC.sub(rb"\1[redacted]", body)
        await self._desk.reject(
            Rejected(wire=WIRE, peer=peer, reason=fault.reason, detail=str(fault), raw=raw, size=len(body), ack=b"")
        )

    def _configuration(self) -> dict[str, Any]:
        verbs = ("open", "update", "select", "close")
        return {
            "eventsSupported": [*(f"{REPORT}-{verb}" for verb in verbs), "Patient-open", "Patient-close", SYNC_ERROR],
            "websocketSupport": True,
            "webhookSupport": False,
            "fhircastVersion": "STU3",
            "getCurrentSupport": True,
            "fhirVersion": {"R4": "4.0.1", "R5": "5.0.0"}[self._dialect.fhir],
        }


async def _read_body(receive: Receive, at_most: int) -> bytes:
    """The body. Raises CastFault 413 as soon as it is too long, and 400 when it ends early."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CastFault(400, "cut_off", "the body ended early")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > at_most:
            raise CastFault(413, "too_large", f"an event has at most {at_most} bytes")
        if not message.get("more_body"):
            return b"".join(parts)


def _note_of(client: Client, scope: Scope, **detail: str) -> Note:
    """Somebody hears what a session holds. Which one isn't said: a topic is a secret."""
    peer = (scope.get("client") or ("", 0))[0]
    return Note(at=datetime.now(UTC), what=What.VIEWED, actor=client.known_as, via=WIRE, peer=peer, detail=detail)


async def _send(send: Send, status: int, body: bytes, kind: str, *, place: str = "http", again_s: int = 1) -> None:
    """An answer; `place` is where ASGI wants it: a socket that isn't opened is answered like a request."""
    told = {"content-length": str(len(body)), "cache-control": "no-store", **headers_of(status, again_s)}
    headers = [(name.encode(), value.encode()) for name, value in told.items()]
    if body:
        headers.append((b"content-type", kind.encode()))
    await send({"type": f"{place}.response.start", "status": status, "headers": headers})
    await send({"type": f"{place}.response.body", "body": body})
