"""A subscriber at somebody else's hub: follows one session, journals what happens to reports, and publishes drafts.

It asks for the current context whenever it can't be sure to have heard everything: after connecting, after a gap in
the versions, and after a refusal.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any
from urllib.parse import quote

import structlog
import websockets

from radbridge.case import CaseKey
from radbridge.config import FhircastHub
from radbridge.errors import DeliveryError, DeliveryFailed, JournalError, MessageFault
from radbridge.traces import answering, carried
from radbridge.wire import Desk, Received
from radbridge_adapters.fhircast.contexts import Saved, load, save, write_session
from radbridge_adapters.fhircast.dialect import Dialect
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.follow import Gap, follow, read_context
from radbridge_adapters.fhircast.hub import WIRE
from radbridge_adapters.fhircast.message import EventMessage, read_event
from radbridge_adapters.fhircast.names import HEARTBEAT, REPORT, SYNC_ERROR, EventName
from radbridge_adapters.fhircast.observation import holds_draft
from radbridge_adapters.fhircast.reading import ContextReader
from radbridge_adapters.fhircast.record import Record
from radbridge_adapters.fhircast.session import Open, Session, Step
from radbridge_adapters.fhircast.syncerror import read_refused
from radbridge_adapters.fhircast.topics import TopicNames
from radbridge_adapters.resources.json import read_json, write_json
from radbridge_adapters.rest import BackendTokens, Reply
from radbridge_adapters.rest.client import FORM, ask, make_http
from radbridge_adapters.security.keys import read_private
from radbridge_adapters.security.tls import client_context

log = structlog.get_logger(__name__)

SILENCE_S = 30.0
"""A hub that says nothing for so long is gone: heartbeats come every ten seconds (3.2.2)."""
RENEW_AT = 0.8
"""The part of a lease after which it is renewed."""
_LEASE_S = 7200.0
"""Taken for a lease that is longer, or can't be read."""
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.5, 30.0
_TIMEOUT_S = 10.0
_LARGEST = 4 * 2**20
_ASKED = "context "
"""Begins the ids of what was asked for instead of heard."""


class Denied(Exception):
    """The hub ended, or never began, the subscription."""


class HubClient:
    """One session at one hub; a `radbridge.wire.Worker`."""

    def __init__(
        self,
        settings: FhircastHub,
        desk: Desk,
        *,
        dialect: Dialect,
        reader: ContextReader,
        topics: TopicNames,
        on_outcome: Callable[[Received], None],
    ) -> None:
        self.session = Session()
        self.connected = False
        self.on_refusal: Callable[[str], None] = lambda _: None
        """Gets the id of an event that somebody couldn't follow."""
        self._settings = settings
        self._desk = desk
        self._dialect = dialect
        self._reader = reader
        self._topics = topics
        self._on_outcome = on_outcome
        self._http = make_http(settings.name, settings.url, timeout_s=_TIMEOUT_S, trust=settings)
        self._tls = client_context(settings.name, settings)
        self._tokens = _make_tokens(settings)
        self._digest = ""
        self._own: dict[str, None] = {}
        self._turn = asyncio.Lock()

    @property
    def name(self) -> str:
        """The hub's name in the site's file."""
        return self._settings.name

    async def run(self) -> None:
        """Follow the session; a hub that is away is tried again after a pause that grows."""
        self._digest = await self._topics.digest(self._settings.topic)
        self.session = await self._desk.store.read(lambda conn: load(conn, self.name, self._digest))
        pause_s = _FIRST_PAUSE_S
        while True:
            began = monotonic()
            try:
                await self._follow()
            except (Denied, DeliveryError, MessageFault, OSError, TimeoutError, websockets.WebSocketException) as error:
                log.warning("hub lost", destination=self.name, reason=type(error).__name__, retry_in_s=pause_s)
            except JournalError:
                log.exception("journal unavailable", retry_in_s=pause_s)
            finally:
                self.connected = False
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            pause_s = _FIRST_PAUSE_S if monotonic() - began > SILENCE_S else min(_LAST_PAUSE_S, pause_s * 2)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()
        if self._tokens is not None:
            await self._tokens.close()

    async def _follow(self) -> None:
        endpoint = await self._subscribe()
        tls = self._tls if endpoint.startswith("wss://") else None
        async with websockets.connect(
            endpoint, ssl=tls, proxy=None, max_size=_LARGEST, open_timeout=_TIMEOUT_S
        ) as socket:
            lease_s = _read_confirmation(await _receive(socket, _TIMEOUT_S))
            await self.refresh()
            self.connected = True
            log.info("hub followed", destination=self.name)
            renew_at = monotonic() + lease_s * RENEW_AT
            while True:
                wait_s = min(SILENCE_S, max(0.0, renew_at - monotonic()))
                try:
                    raw = await _receive(socket, wait_s)
                except TimeoutError:
                    if monotonic() < renew_at:
                        raise
                    await self._subscribe(endpoint)
                    renew_at = monotonic() + lease_s * RENEW_AT
                    continue
                answer = await self._hear(raw)
                if answer is not None:
                    await socket.send(write_json(answer).decode())

    async def _subscribe(self, endpoint: str = "") -> str:
        """Subscribe, or renew the lease of `endpoint`. Raises DeliveryFailed, CastFault."""
        form = {
            "hub.channel.type": "websocket",
            "hub.mode": "subscribe",
            "hub.topic": self._settings.topic,
            "hub.events": ",".join(dict.fromkeys((*self._settings.events, "SyncError"))),
            "subscriber.name": "RadBridge",
        } | ({"hub.channel.endpoint": endpoint} if endpoint else {})
        body = "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in form.items())
        reply = await self._ask("POST", self._settings.url, body.encode(), FORM)
        given = reply.document.get("hub.channel.endpoint")
        if not reply.ok or not isinstance(given, str) or not given.startswith(("ws://", "wss://")):
            raise CastFault(reply.status, "subscription", f"the hub answered {reply.status} to a subscription")
        return given

    async def _hear(self, raw: str) -> Mapping[str, Any] | None:
        """Take one message of the hub; the answer to send, where it wants one. Raises Denied."""
        try:
            document = read_json(raw.encode())
            if document.get("hub.mode") == "denied":
                raise Denied
            if "hub.mode" in document:
                return None
            event = read_event(document)
        except MessageFault as fault:
            log.warning("event ignored", destination=self.name, reason=fault.reason)
            return None
        if event.name.resource == HEARTBEAT:
            return None
        try:
            with answering(self._desk.meter, WIRE):
                await self._take(event)
        except (CastFault, JournalError) as error:
            log.warning("event not followed", destination=self.name, event_name=str(event.name), reason=str(error))
            return {"id": event.id, "status": 500}
        return {"id": event.id, "status": 200}

    async def _take(self, event: EventMessage) -> None:
        async with self._turn:
            await self._step(event)

    async def refresh(self) -> None:
        """Ask for the current context, and take what it says. Raises DeliveryFailed, CastFault, JournalError."""
        async with self._turn:
            await self._catch_up()

    async def _step(self, event: EventMessage) -> None:
        if event.name.resource == SYNC_ERROR:
            for refused in read_refused(event):
                self.on_refusal(refused)
        if event.name.resource != REPORT:
            return
        try:
            step = follow(self.session, event)
        except Gap:
            log.info("hub further than heard", destination=self.name)
            await self._catch_up()
            return
        if step.is_new and step.about is not None:
            await self._keep(step, self._receive(event, step.about))
        self.session = step.session

    async def ping(self) -> None:
        """Raises DeliveryFailed when the hub doesn't answer, or not to us."""
        reply = await self._get()
        if reply.status in (401, 403) or reply.status >= 500:
            raise DeliveryFailed(self.name, f"the hub answered {reply.status}")

    async def _get(self) -> Reply:
        return await self._ask("GET", f"{self._settings.url.rstrip('/')}/{quote(self._settings.topic, safe='')}")

    async def _catch_up(self) -> None:
        reply = await self._get()
        if not reply.ok:
            log.warning("no context from the hub", destination=self.name, status=reply.status)
            return
        session = read_context(reply.document, self.session.seen)
        current = session.current
        known = self.session.find((current.type, current.id)) if current is not None else None
        if current is None or current.type != REPORT or (known is not None and known.version == current.version):
            self.session = session
            return
        name = EventName(resource=REPORT, verb="update" if current.content else "open")
        event = replace(current.opened, id=f"{_ASKED}{current.version}", name=name, at=datetime.now(UTC))
        await self._keep(Step(session=session, event=event, about=current), self._receive(event, current))
        self.session = session

    async def _keep(self, step: Step, received: Received | None) -> None:
        """Commit a step. The standing draft goes to a report that has come up without it."""
        current = step.session.current
        came_up = step.event.name.verb in ("open", "close") or step.event.id.startswith(_ASKED)
        saved = Saved(
            hub=self.name,
            digest=self._digest,
            current=current,
            document=write_session(step.session),
            keys=self._reader.find_keys(step.session),
            key=self._reader.find_key(current if came_up else step.about),
            outcome=self._reader.find_outcome(self.session, step),
            received=received,
            redraft=self.name if came_up and not holds_draft(current) else "",
        )
        await self._desk.commit(save, saved)
        if saved.outcome and received is not None:
            self._on_outcome(received)

    def _receive(self, event: EventMessage, about: Open) -> Received | None:
        """What is journaled of an event; nothing of our own, which comes back to us as to everybody."""
        key = self._reader.find_key(about)
        if key is None or event.id in self._own:
            return None
        return Received(
            wire=WIRE,
            peer=self.name,
            sender=self._digest,
            control_id=event.id,
            kind=str(event.name),
            accession=key.accession,
            raw=Record.of(event, about, self._dialect.fhir).write(),
            ack=b"",
            trace=carried(),
        )

    def find(self, key: CaseKey) -> Open | None:
        """The open report of this case."""
        return next((c for c in reversed(self.session.contexts) if self._reader.is_of(c, key)), None)

    def is_suspended(self, key: CaseKey) -> bool:
        """Whether another report is before this one: not every hub takes updates for what isn't current (2.10)."""
        found = self.find(key)
        return found is not None and found is not self.session.current

    async def post(self, event: EventMessage) -> Reply:
        """Publish an event of ours. Raises DeliveryFailed when no answer came."""
        self._own = dict.fromkeys([*self._own, event.id][-256:])
        return await self._ask("POST", self._settings.url, write_json(event.write(self._settings.topic)))

    async def _ask(self, method: str, url: str, content: bytes | None = None, kind: str = "application/json") -> Reply:
        """One request; with a token, one more after a 401. Raises DeliveryFailed when no answer came."""
        headers = {"accept": "application/json"} | ({"content-type": kind} if content is not None else {})
        asking = partial(ask, self._http, self.name, method, url, content=content, at_most=_LARGEST)
        if self._tokens is None:
            return await asking(headers=headers)
        token = await self._tokens.token()
        reply = await asking(headers=headers | {"authorization": f"Bearer {token}"})
        if reply.status != 401:
            return reply
        self._tokens.forget(token)
        return await asking(headers=headers | {"authorization": f"Bearer {await self._tokens.token()}"})


def _make_tokens(settings: FhircastHub) -> BackendTokens | None:
    """Where tokens for this hub come from, if it wants any. Raises ConfigError."""
    if settings.key_file is None or settings.token_url is None:
        return None
    return BackendTokens(
        settings.name,
        make_http(settings.name, settings.token_url, timeout_s=_TIMEOUT_S, trust=settings),
        base="",
        client_id=settings.client_id,
        key=read_private(settings.key_file),
        scope=settings.scope,
        url=settings.token_url,
    )


async def _receive(socket: websockets.ClientConnection, at_most_s: float) -> str:
    """The next message. Not by `asyncio.wait_for`: in Python 3.11 it can lose a cancellation."""
    async with asyncio.timeout(at_most_s):
        return str(await socket.recv())


def _read_confirmation(raw: str) -> float:
    """The lease's seconds. Raises Denied, and CastFault for what is no confirmation."""
    try:
        document = read_json(raw.encode())
    except MessageFault as fault:
        raise CastFault(400, fault.reason, "the hub's confirmation can't be read") from None
    if document.get("hub.mode") != "subscribe":
        raise Denied
    try:
        lease_s = float(str(document.get("hub.lease_seconds")))
    except ValueError:
        return _LEASE_S
    return lease_s if 1.0 <= lease_s <= _LEASE_S else _LEASE_S
