"""Our own hub: sessions by topic, who listens, and the one place where an event becomes durable and is distributed.

A topic is a secret, so it is kept nowhere: sessions go by its HMAC. One event at a time is taken for a topic: of two
updates with one version exactly one wins. It counts once it is committed; only then is anybody told.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog
from sqlalchemy import Connection

from radbridge.audit import Note, Subject, What, each
from radbridge.case import CaseKey
from radbridge.flow.holding import worker_lease
from radbridge.traces import carried
from radbridge.wire import Desk, Kind, Received
from radbridge_adapters.fhircast.content import Change, write_update
from radbridge_adapters.fhircast.contexts import Saved, find_topics, load, save, write_session
from radbridge_adapters.fhircast.dialect import Dialect
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.link import Link
from radbridge_adapters.fhircast.message import EventMessage, anchor_key, refer, write_time
from radbridge_adapters.fhircast.names import REPORT, EventName
from radbridge_adapters.fhircast.reading import ContextReader
from radbridge_adapters.fhircast.record import Record
from radbridge_adapters.fhircast.session import REMEMBERED, Open, Session, Step, take
from radbridge_adapters.fhircast.subscriber import Refusal, Sent
from radbridge_adapters.fhircast.syncerror import make_sync_error
from radbridge_adapters.fhircast.topics import TopicNames
from radbridge_adapters.resources.json import write_json

log = structlog.get_logger(__name__)

WIRE = "fhircast"
TOLD = 8
"""Characters of a topic's digest, by which logs and the trail name its session."""
OURS = ""
"""The name of our own hub in the table of contexts."""

_REPORT_OPEN = EventName(resource=REPORT, verb="open")
_IMPLIED = ("Patient", "ImagingStudy", "Encounter")


@dataclass(slots=True)
class Topic:
    """A session in memory, and who listens to it."""

    digest: str
    session: Session
    links: list[Link] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    told: dict[str, bytes] = field(default_factory=dict)
    """By id, what the events said that came last, as a digest; of those since this gateway has the topic."""

    def remember(self, event: EventMessage) -> None:
        """It was taken."""
        self.told[event.id] = _digest(event)
        if len(self.told) > REMEMBERED:
            del self.told[next(iter(self.told))]

    def is_other(self, event: EventMessage) -> bool:
        """Whether an event that was taken under this id said something else: a repeat says the same."""
        said = _digest(event)
        return self.told.get(event.id, said) != said


def _digest(event: EventMessage) -> bytes:
    return hashlib.blake2b(write_json([str(event.name), *event.context]), digest_size=16).digest()


LEASE = worker_lease("fhircast-hub")
"""Sockets and sessions are one process's, so one gateway of a cluster has the hub."""


class Hub:
    """Takes events, keeps sessions, tells subscribers."""

    def __init__(
        self,
        desk: Desk,
        *,
        dialect: Dialect,
        reader: ContextReader,
        max_topics: int,
        on_outcome: Callable[[Received], None],
        sink: str = WIRE,
    ) -> None:
        """`sink` is the destination that drafts reach this hub by; `on_outcome` gets journaled sign-offs."""
        self.topics = TopicNames(desk)
        self._desk = desk
        self._dialect = dialect
        self._reader = reader
        self._on_outcome = on_outcome
        self._max_topics = max_topics
        self._sink = sink
        self._topics: dict[str, Topic] = {}

    @property
    def lease(self) -> Mapping[str, int]:
        """What this gateway's hub is held under; raises CastFault 503 while the hub is another gateway's."""
        holder = self._desk.holder
        held = {name: epoch for name, epoch in holder.held(Kind.WORKER).items() if name == LEASE}
        if not held and not holder.is_sole:
            raise CastFault(503, "elsewhere", "another gateway of this site has the hub now; try again")
        return held

    def _save(self, conn: Connection, items: Sequence[tuple[Mapping[str, int], Saved]]) -> list[None]:
        """Raises LeaseLost when the hub is another gateway's now."""
        for held, _ in items:
            self._desk.holder.fence(conn, held)
        return list(save(conn, [saved for _, saved in items]))

    async def post(self, event: EventMessage, peer: str) -> None:
        """Take an event, commit what it changes, tell everybody. After a CastFault or JournalError nothing happened."""
        digest = await self.topics.digest(event.topic)
        async with self._hold(digest) as topic, topic.turn:
            step = take(topic.session, event, version=str(uuid.uuid4()), dialect=self._dialect)
            if step.is_new:
                await self._settle(topic, step, peer)
                topic.remember(event)
            elif topic.is_other(event):
                log.warning("event id used before for another event", topic_ref=topic.digest[:TOLD])
                self._desk.meter.reused()

    async def describe(self, topic: str) -> Session:
        """The session of a topic as it is now."""
        async with self._hold(await self.topics.digest(topic)) as held:
            return held.session

    def subjects(self, session: Session) -> list[Subject]:
        """Whose reports and records are open in a session; for the trail."""
        return [subject for context in session.contexts for subject in self._reader.find_subjects(context)]

    async def join(self, link: Link) -> None:
        """Let a subscription hear of its topic's events."""
        async with self._hold(link.subscriber.digest) as topic:
            topic.links.append(link)

    def leave(self, link: Link) -> None:
        """It hears no more."""
        topic = self._topics.get(link.subscriber.digest)
        if topic is not None and link in topic.links:
            topic.links.remove(link)

    def opened(self, link: Link) -> list[EventMessage]:
        """The latest `-open` of each type for a subscriber that joined (2.4), as it was when it happened."""
        topic = self._topics.get(link.subscriber.digest)
        return [context.opened.versioned(context.version) for context in topic.session.latest()] if topic else []

    async def publish(self, key: CaseKey, control_id: str, changes: Sequence[Change]) -> int:
        """Put our changes into every session where this case's report is open: in how many. Raises JournalError.

        The same `control_id` again has no second effect.
        """
        digests = await self._desk.store.read(lambda conn: find_topics(conn, OURS, key))
        done = [await self._publish(digest, key, control_id, changes) for digest in digests]
        return sum(done)

    async def _publish(self, digest: str, key: CaseKey, control_id: str, changes: Sequence[Change]) -> bool:
        async with self._hold(digest) as topic, topic.turn:
            about = next((c for c in reversed(topic.session.contexts) if self._reader.is_of(c, key)), None)
            if about is None:
                return False
            wanted = [c for c in changes if c.resource is not None or c.reference in about.content]
            if wanted:
                event = make_update(about, control_id, wanted, self._dialect)
                step = take(topic.session, event, version=str(uuid.uuid4()), dialect=self._dialect)
                if step.is_new:
                    await self._settle(topic, step, peer="")
            return True

    async def _settle(self, topic: Topic, step: Step, peer: str) -> None:
        """Commit a step, adopt it, tell everybody. One without a `peer` is ours and is never read as a dictation."""
        received = self._receive(topic, step, peer) if peer else None
        outcome = self._reader.find_outcome(topic.session, step)
        if step.about is not None:
            saved = Saved(
                hub=OURS,
                digest=topic.digest,
                current=step.session.current,
                document=write_session(step.session),
                keys=self._reader.find_keys(step.session),
                key=self._reader.find_key(step.about),
                outcome=outcome,
                received=received,
                redraft=self._sink if step.event.name.verb == "open" else "",
                notes=self._note(topic, step.about),
            )
            await self._desk.commit(self._save, (self.lease, saved))
        topic.session = step.session
        log.info("event", event_name=str(step.event.name), topic_ref=topic.digest[:TOLD], count=len(topic.links))
        self._tell(topic, step.event)
        if outcome and received is not None:
            self._on_outcome(received)

    def _note(self, topic: Topic, about: Open) -> list[Note]:
        """For the trail: those who listen get what an event says of somebody."""
        if not topic.links:
            return []
        detail = {"topic": topic.digest[:TOLD], "listeners": str(len(topic.links))}
        note = Note(at=datetime.now(UTC), what=What.EXPORTED, via=WIRE, detail=detail)
        return each(note, self._reader.find_subjects(about))

    def _receive(self, topic: Topic, step: Step, peer: str) -> Received | None:
        key = self._reader.find_key(step.about)
        if step.about is None or key is None:
            if step.event.name == _REPORT_OPEN:
                log.warning("report without an accession", topic_ref=topic.digest[:TOLD])
            return None
        return Received(
            wire=WIRE,
            peer=peer,
            sender=topic.digest,
            control_id=step.event.id,
            kind=str(step.event.name),
            accession=key.accession,
            raw=Record.of(step.event, step.about, self._dialect.fhir).write(),
            ack=b"",
            trace=carried(),
        )

    def _tell(self, topic: Topic, event: EventMessage, *, but: Link | None = None) -> None:
        implied = imply_opens(event)
        for link in list(topic.links):
            if link is not but:
                heard = [event] if event.name in link.subscriber.wanted else implied
                for one in heard:
                    link.offer(one)

    def refused(self, link: Link, refusal: Refusal) -> None:
        """A subscriber doesn't follow an event: the others are told (2.5)."""
        sent = refusal.sent
        self._report(link, sent.id, sent.name, f"the event was refused with status {refusal.status}")

    def lost(self, link: Link, why: str, sent: Sent | None) -> None:
        """A subscriber is gone without having said so: the others are told (2.5)."""
        log.warning("subscriber lost", reason=why, topic_ref=link.subscriber.digest[:TOLD])
        self._report(link, sent.id if sent else "", sent.name if sent else "", why)

    def _report(self, link: Link, about_id: str, about_name: str, why: str) -> None:
        topic = self._topics.get(link.subscriber.digest)
        if topic is not None:
            self._tell(topic, make_sync_error(about_id, about_name, link.subscriber.name, why), but=link)

    @asynccontextmanager
    async def _hold(self, digest: str) -> AsyncIterator[Topic]:
        """A topic that stays in memory meanwhile. Raises CastFault 503 when there are too many."""
        if digest not in self._topics:
            session = await self._desk.store.read(lambda conn: load(conn, OURS, digest))
            self._make_room()
            self._topics.setdefault(digest, Topic(digest=digest, session=session))
        topic = self._topics[digest]
        topic.users += 1
        try:
            yield topic
        finally:
            topic.users -= 1

    def _make_room(self) -> None:
        """Sessions are in the journal: one that nobody listens to may go from memory."""
        if len(self._topics) < self._max_topics:
            return
        idle = next((d for d, topic in self._topics.items() if not topic.links and not topic.users), None)
        if idle is None:
            raise CastFault(503, "too_many_topics", "this hub has no room for another session")
        del self._topics[idle]


def imply_opens(event: EventMessage) -> list[EventMessage]:
    """The opens of what an opened resource came with, for those who don't hear of the resource itself (2.5)."""
    if event.name.verb != "open":
        return []
    items = {
        t: [i for i in event.context if i.get("key") == anchor_key(t)] for t in _IMPLIED if t != event.name.resource
    }
    return [
        replace(event, id=f"{event.id}-{kind}", name=EventName(resource=kind, verb="open"), version="", context=found)
        for kind, found in items.items()
        if found
    ]


def make_update(about: Open, control_id: str, changes: Sequence[Change], dialect: Dialect) -> EventMessage:
    """An update of ours to a report's content."""
    now = datetime.now(UTC)
    linked = _link(about, changes) if dialect.link_result else None
    report = {"key": "report", "resource": linked} if linked else refer("report", REPORT, about.id)
    return EventMessage(
        id=control_id,
        timestamp=write_time(now),
        at=now,
        topic="",
        name=EventName(resource=REPORT, verb="update"),
        version=about.version,
        context=[report, {"key": "updates", "resource": write_update(changes, control_id)}],
    )


def _link(about: Open, changes: Sequence[Change]) -> dict[str, object] | None:
    """The anchor with our resources among its results, or no longer among them; None where that changes nothing."""
    told = (about.resource("report") or {}).get("result")
    known = [r for r in told if isinstance(r, Mapping)] if isinstance(told, list) else []
    put = [c.reference for c in changes if c.resource is not None]
    gone = {c.reference for c in changes if c.resource is None}
    kept = [r for r in known if r.get("reference") not in gone]
    named = {r.get("reference") for r in kept}
    result = [*kept, *({"reference": r} for r in put if r not in named)]
    return {"resourceType": REPORT, "id": about.id, "result": result} if result != known else None
