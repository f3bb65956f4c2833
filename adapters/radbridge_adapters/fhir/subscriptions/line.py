"""One subscription's notifications: in order, one request at a time, tried again as long as its endpoint is down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from sqlalchemy import Connection

from radbridge.audit import Note, Outcome, What, each
from radbridge.config import FhirSubscriptions
from radbridge.errors import DeliveryError, DeliveryFailed
from radbridge.flow.delivery import LONGEST_PAUSE_S, backoff
from radbridge.flow.wake import Alarm
from radbridge.journal import audit
from radbridge.wire import Store
from radbridge_adapters.fhir.store.find import fetch
from radbridge_adapters.fhir.store.read import newest
from radbridge_adapters.fhir.store.record import Change, make_version
from radbridge_adapters.fhir.store.snapshots import WIRE
from radbridge_adapters.fhir.store.subjects import find_subjects
from radbridge_adapters.fhir.store.write import Vault
from radbridge_adapters.fhir.subscriptions import events
from radbridge_adapters.fhir.subscriptions.bundle import Kind, Notification, results_of
from radbridge_adapters.fhir.subscriptions.events import Event
from radbridge_adapters.fhir.subscriptions.plan import Content, Plan, Status, read_plan
from radbridge_adapters.fhir.subscriptions.register import TYPE
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.json import read_json, write_json
from radbridge_adapters.resources.outcome import Issues
from radbridge_adapters.rest.client import FHIR_JSON, ask, make_http

log = structlog.get_logger(__name__)

CLIENT = "radbridge"
NAME = "the subscriber"
MAX_EVENTS = 100
"""In one notification, however many the subscriber would take."""
MAX_ANSWER_BYTES = 64 * 1024


@dataclass(kw_only=True, slots=True)
class Office:
    """What all lines share."""

    store: Store
    vault: Vault
    accessions: Accessions
    on_show: Callable[[bytes], None]
    """Hears of every resource that a subscriber took, or was told of by name."""
    settings: FhirSubscriptions
    clock: Callable[[], datetime]
    healthy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(32))
    """Requests at a time to endpoints that answered last time."""
    failing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))
    """And to the others, so that those that hang hold up none but themselves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """A subscription as it stands, and what there is to send."""

    plan: Plan
    document: dict[str, Any]
    version: int
    since: datetime
    """When this status began."""
    total: int
    waiting: list[Event]
    beside: dict[str, Any]


class Line:
    """Works for one subscription until it is off."""

    def __init__(self, id: str, office: Office) -> None:
        self.alarm = Alarm()
        self._id = id
        self._office = office
        self._failures = 0
        self._next_try = office.clock()
        self._last_sent = office.clock()
        self._tried = ("", 0)
        """The endpoint that was reached last without taking what it got, and the number of the last event of that."""
        self._asked = 0
        """The version that was last asked for by the subscriber."""
        self._http: httpx.AsyncClient | None = None
        self._reached = ("", 0.0)

    async def run(self) -> None:
        """Send what is due, then wait for more."""
        try:
            while (wait_s := await self._step()) is not None:
                if wait_s > 0:
                    await self.alarm.wait(wait_s)
        finally:
            if self._http is not None:
                await self._http.aclose()
                self._http = None  # after an outage of the journal it runs again

    async def _step(self) -> float | None:
        """Seconds until it makes sense to look again; None: this subscription is over."""
        seen = await self._office.store.read(self._look)
        if seen is None or seen.plan.status is Status.OFF:
            return None
        plan, now = seen.plan, self._office.clock()
        if plan.end is not None and now >= plan.end:
            await self._become(seen, Status.OFF)
            return None
        if plan.status is Status.REQUESTED and seen.version != self._asked:
            self._asked, self._failures, self._next_try = seen.version, 0, now
        if now < self._next_try:
            return (self._next_try - now).total_seconds()
        if seen.waiting and plan.status is not Status.REQUESTED:
            return await self._try(seen, Kind.EVENT, seen.waiting)
        if plan.status is not Status.ACTIVE:
            return await self._try(seen, Kind.HANDSHAKE, [])
        return await self._rest(seen, now)

    def _look(self, conn: Connection) -> _Seen | None:
        stored = newest(conn, TYPE, self._id)
        if stored is None:
            return None
        document = read_json(stored.raw)
        try:
            plan = read_plan(document, self._office.settings)
        except Issues:
            return None
        waiting = events.pending(conn, self._id, min(plan.max_count, MAX_EVENTS))
        names = [name.partition("/") for name in results_of(waiting)] if plan.topic else []
        beside = {f"{one.type}/{one.id}": read_json(one.raw) for one in fetch(conn, [(a, b) for a, _, b in names])}
        return _Seen(
            plan=plan,
            document=document,
            version=stored.version,
            since=stored.at,
            total=events.last_number(conn, self._id),
            waiting=waiting,
            beside=beside,
        )

    async def _rest(self, seen: _Seen, now: datetime) -> float:
        """Nothing to tell: a heartbeat where one is due."""
        heartbeat_s = seen.plan.heartbeat_s
        if heartbeat_s is None:
            return 3600.0
        due = self._last_sent + timedelta(seconds=heartbeat_s)
        return await self._try(seen, Kind.HEARTBEAT, []) if now >= due else (due - now).total_seconds()

    async def _try(self, seen: _Seen, kind: Kind, told: Sequence[Event]) -> float:
        turn = self._office.failing if self._failures else self._office.healthy
        try:
            async with turn:
                await self._send(seen, kind, told)
        except DeliveryError as error:
            return await self._fail(seen, told, error)
        self._failures = 0
        self._last_sent = self._office.clock()
        if told:
            if seen.plan.topic or seen.plan.content is Content.FULL:
                for event in told:
                    self._office.on_show(event.raw)
            notes = await self._office.store.read(lambda conn: self._note(conn, seen.plan, told, Outcome.SUCCESS))
            await self._office.store.write(_settle, ([event.seq for event in told], notes))
        if seen.plan.status is not Status.ACTIVE:
            await self._become(seen, Status.ACTIVE)
        return 0.0

    def _note(self, conn: Connection, plan: Plan, told: Sequence[Event], outcome: Outcome) -> list[Note]:
        """For the trail: whose data a subscriber took, or was told of by name."""
        found = find_subjects(conn, self._office.accessions, (event.name for event in told))
        note = Note(
            at=datetime.now(UTC),
            what=What.EXPORTED,
            outcome=outcome,
            via=WIRE,
            peer=urlsplit(plan.endpoint).hostname or "",
            detail={"subscription": self._id, "content": plan.content, "events": str(len(told))},
        )
        return each(note, found.values())

    async def _send(self, seen: _Seen, kind: Kind, told: Sequence[Event]) -> None:
        """One request. Raises DeliveryFailed for anything but 2xx."""
        plan = seen.plan
        if not plan.topic and kind is Kind.HANDSHAKE:
            return  # plain R4 has none: the first event is the first request
        method, url, body = "POST", plan.endpoint, b""
        if plan.topic:
            note = Notification(plan=plan, kind=kind, total=seen.total, events=told, beside=seen.beside)
            body = write_json(note.bundle())
        elif plan.content is Content.FULL:
            [event] = told
            method, url, body = "PUT", f"{url}/{event.type}/{event.id}", event.raw
        headers = dict(plan.headers) | ({"content-type": FHIR_JSON} if body else {})
        http = await self._client(plan)
        reply = await ask(http, NAME, method, url, content=body, headers=headers, at_most=MAX_ANSWER_BYTES)
        if not reply.ok:
            raise DeliveryFailed(NAME, f"HTTP {reply.status}", retry_after_s=reply.retry_after_s)

    async def _client(self, plan: Plan) -> httpx.AsyncClient:
        """Of this endpoint; kept, for TLS takes its time."""
        if self._http is None or self._reached != (plan.endpoint, plan.timeout_s):
            if self._http is not None:
                await self._http.aclose()
            self._http = make_http(NAME, plan.endpoint, timeout_s=plan.timeout_s, trust=self._office.settings)
            self._reached = plan.endpoint, plan.timeout_s
        return self._http

    async def _fail(self, seen: _Seen, told: Sequence[Event], error: DeliveryError) -> float:
        self._failures += 1
        settings, now = self._office.settings, self._office.clock()
        asked_s = error.retry_after_s if isinstance(error, DeliveryFailed) else None
        wait_s = max(backoff(self._failures - 1), min(asked_s or 0.0, LONGEST_PAUSE_S))
        self._next_try = now + timedelta(seconds=wait_s)
        log.warning(
            "a subscriber was not reached",
            subscription=self._id,
            reason=str(error),
            attempts=self._failures,
            retry_in_s=round(wait_s, 1),
        )
        if told:
            await self._postpone(seen.plan, told, error)
        if seen.plan.status is Status.ERROR:
            if now - seen.since >= timedelta(hours=settings.off_after_h):
                await self._become(seen, Status.OFF, str(error))
        elif self._failures >= settings.error_after:
            await self._become(seen, Status.ERROR, str(error))
        return wait_s

    async def _postpone(self, plan: Plan, told: Sequence[Event], error: DeliveryError) -> None:
        """Whoever answers with an error, or not at all, may have read it all the same: that is noted for each once."""
        was_sent = not isinstance(error, DeliveryFailed) or error.sent
        endpoint, number = self._tried
        last = number if endpoint == plan.endpoint else 0
        new = [event for event in told if was_sent and event.number > last]
        read = self._office.store.read
        notes = await read(lambda conn: self._note(conn, plan, new, Outcome.MINOR)) if new else []
        await self._office.store.write(_postpone, ([event.seq for event in told], self._next_try, notes))
        self._tried = (plan.endpoint, new[-1].number) if new else self._tried

    async def _become(self, seen: _Seen, status: Status, why: str = "") -> None:
        """Store the new status, unless the subscriber changed the Subscription meanwhile."""
        document = {name: value for name, value in seen.document.items() if name != "error"}
        document |= {"status": status.value} | ({"error": why} if why else {})
        version = make_version(
            document, id=self._id, version=seen.version + 1, method="PUT", client=CLIENT, base=seen.plan.base
        )
        await self._office.vault.commit(Change(versions=(version,)))
        log.info("a subscription's status", subscription=self._id, status=status.value)


def _settle(conn: Connection, items: Sequence[tuple[Sequence[int], Sequence[Note]]]) -> list[None]:
    events.settle(conn, [seq for seqs, _ in items for seq in seqs])
    audit.note(conn, [note for _, notes in items for note in notes])
    return [None] * len(items)


def _postpone(conn: Connection, items: Sequence[tuple[Sequence[int], datetime, Sequence[Note]]]) -> list[None]:
    for seqs, at, notes in items:
        events.postpone(conn, seqs, at)
        audit.note(conn, notes)
    return [None] * len(items)
