"""Subscriptions: what may be asked for, what is stored of it, who is told, and what a subscriber can ask afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from radbridge.config import Site
from radbridge.errors import JournalError
from radbridge.flow.wake import Alarm
from radbridge.wire import Desk
from radbridge_adapters.fhir.execution import Author
from radbridge_adapters.fhir.request import Answer, Request
from radbridge_adapters.fhir.route import Route
from radbridge_adapters.fhir.store.find import fetch
from radbridge_adapters.fhir.store.read import newest
from radbridge_adapters.fhir.store.write import Stored, Vault
from radbridge_adapters.fhir.subscriptions import events
from radbridge_adapters.fhir.subscriptions.bundle import Kind, Notification, results_of
from radbridge_adapters.fhir.subscriptions.line import MAX_EVENTS, Line, Office
from radbridge_adapters.fhir.subscriptions.plan import BASE_EXTENSION, Content, Status, mask, read_plan
from radbridge_adapters.fhir.subscriptions.register import TYPE, Register, live
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.json import read_json
from radbridge_adapters.resources.outcome import refuse

log = structlog.get_logger(__name__)

PAUSE_S = 1.0
"""Before a line that failed works again."""

Interaction = Callable[[Request], Awaitable[Answer]]
Document = Mapping[str, Any]


TOPIC = "subscription"
"""The bell of those who tell subscribers."""


class Subscriptions:
    """All of it for one server; a `radbridge.wire.Worker`."""

    name = "subscriptions"
    routes: Sequence[Route] = (
        Route(method="GET", path="{type}/{id}/$status", interaction="subscription-status", verb="r", of_type=TYPE),
        Route(method="GET", path="{type}/{id}/$events", interaction="subscription-events", verb="r", of_type=TYPE),
    )

    def __init__(
        self,
        site: Site,
        desk: Desk,
        *,
        on_show: Callable[[bytes], None] = lambda _: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`on_show` hears of every resource that a subscriber took."""
        self._settings = site.fhir.subscriptions
        self._store = desk.store
        self._accessions = Accessions.of(site)
        self._on_show = on_show
        self._clock = clock
        self._register = Register(self._settings)
        self._alarm = Alarm()
        self._lines: dict[str, tuple[Line, asyncio.Task[None]]] = {}
        self._vault: Vault | None = None
        self._bells = desk.bells
        self._is_sole = desk.holder.is_sole
        if not self._is_sole:
            desk.bells.on(TOPIC, lambda _: self._look())

    def join(self, vault: Vault) -> None:
        """Where statuses are stored: the vault that this object's `hook` was given to."""
        self._vault = vault

    @property
    def interactions(self) -> Mapping[str, Interaction]:
        """By the names of `routes`."""
        return {"subscription-status": self._status, "subscription-events": self._events}

    def hook(self, conn: Connection, stored: Sequence[Stored]) -> None:
        """In the transaction of every stored version."""
        self._register.hook(conn, stored)

    def wake(self) -> None:
        """After a commit: have those work whom it concerned, here or in the gateway that tells subscribers."""
        if self._register.touched and not self._is_sole:
            self._bells.ring(TOPIC)
        while self._register.touched:
            line = self._lines.get(self._register.touched.popleft())
            if line is None:
                self._alarm.ring()
            else:
                line[0].alarm.ring()

    def _look(self) -> None:
        """Somewhere a subscription or what it is about has changed."""
        self._alarm.ring()
        for line, _ in list(self._lines.values()):
            line.alarm.ring()

    def rule(self, document: Document, author: Author) -> Document:
        """What is stored of a Subscription: `requested`, whatever the client says, unless it turns it off.

        Raises Issues for what can't be done, for what its client may not read, and for one too many.
        """
        plan = read_plan(document, self._settings)
        for kind in (plan.type, "Observation") if plan.topic else (plan.type,):
            author.client.require(kind, "r")  # the topic's Observations come along
        if plan.status is Status.OFF:
            return document
        if self._register.count >= self._settings.max and not document.get("id"):
            raise refuse("too-costly", "there are as many subscriptions as this server keeps", status=422)
        kept = [one for one in document.get("extension", ()) if one.get("url") != BASE_EXTENSION]
        based = [*kept, {"url": BASE_EXTENSION, "valueUrl": author.base}] if author.base else kept
        wanted = {name: value for name, value in document.items() if name not in ("error", "extension")}
        return wanted | {"status": Status.REQUESTED.value} | ({"extension": based} if based else {})

    def mask(self, document: Document) -> Document:
        """A Subscription as it may be shown."""
        return mask(document)

    async def run(self) -> None:
        """A line for each subscription, until cancelled."""
        if self._vault is None:
            raise RuntimeError("no vault: join() comes first")
        office = Office(
            store=self._store,
            vault=self._vault,
            accessions=self._accessions,
            on_show=self._on_show,
            settings=self._settings,
            clock=self._clock,
        )
        try:
            while True:
                await self._tend(office)
                await self._alarm.wait()
        finally:
            tasks = [task for _, task in self._lines.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._lines.clear()

    async def _tend(self, office: Office) -> None:
        plans = await self._store.read(lambda conn: live(conn, self._settings))
        for plan in plans:
            if plan.id not in self._lines:
                line = Line(plan.id, office)
                task = asyncio.create_task(self._keep(line), name=self.name)
                self._lines[plan.id] = line, task
                task.add_done_callback(partial(self._forget, plan.id))

    def _forget(self, id: str, _: asyncio.Task[None]) -> None:
        """A line that ended; it may be wanted again already."""
        self._lines.pop(id, None)
        self._alarm.ring()

    async def _keep(self, line: Line) -> None:
        """One line that fails must not end the others."""
        while True:
            try:
                await line.run()
                return
            except JournalError:
                log.exception("journal unavailable", retry_in_s=PAUSE_S)
            except Exception:  # a fault of ours in one line must not end it, nor the others
                log.exception("a subscription's line failed", retry_in_s=PAUSE_S)
            await asyncio.sleep(PAUSE_S)

    async def _status(self, request: Request) -> Answer:
        """`$status` of the Backport IG."""
        note = await self._store.read(lambda conn: self._tell(conn, request, Kind.STATUS, (), None))
        return Answer(document=note.searchset())

    async def _events(self, request: Request) -> Answer:
        """`$events`: what was told before, by number, in whatever content is wanted now."""
        told = dict(request.query)
        first, last = _read_number(told, "eventsSinceNumber", 1), _read_number(told, "eventsUntilNumber", 2**31)
        content = _read_content(told.get("content", ""))

        def query(conn: Connection) -> Notification:
            found = events.between(conn, request.id, first, last, MAX_EVENTS)
            request.views.names.extend(one.name for one in found)
            return self._tell(conn, request, Kind.QUERY, found, content)

        return Answer(document=(await self._store.read(query)).bundle())

    def _tell(
        self, conn: Connection, request: Request, kind: Kind, found: Sequence[events.Event], content: Content | None
    ) -> Notification:
        stored = newest(conn, TYPE, request.id)
        if stored is None:
            raise refuse("not-found", "there is no such resource", status=404)
        plan = read_plan(read_json(stored.raw), self._settings)
        request.client.require(plan.type, "r")
        names = [name.partition("/") for name in results_of(found)]
        beside = {f"{one.type}/{one.id}": read_json(one.raw) for one in fetch(conn, [(a, b) for a, _, b in names])}
        return Notification(
            plan=plan,
            kind=kind,
            total=events.last_number(conn, request.id),
            events=found,
            beside=beside,
            content=content,
        )


def _read_number(told: Mapping[str, str], name: str, default: int) -> int:
    text = told.get(name, "")
    if text and not (text.isascii() and text.isdigit()):
        raise refuse("value", f"{name} is a whole number")
    return int(text[:10]) if text else default


def _read_content(text: str) -> Content | None:
    try:
        return Content(text) if text else None
    except ValueError:
        raise refuse("value", "content is empty, id-only or full-resource") from None
