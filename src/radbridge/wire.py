"""What a wire is to the core: listeners and mounts that bring bytes in, a translator, and sinks that take drafts out.

Its factory, under the entry-point group `radbridge.adapters`, gets the site's configuration and its desk: a `Desk`, or
an `Intake` where it only takes messages in: `def wire(site: Site, desk: Desk) -> Wire`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar, runtime_checkable

from sqlalchemy import Connection

from radbridge.case import Case, CaseKey
from radbridge.draft import DraftImpression, StoredDraft
from radbridge.events import Event
from radbridge.meter import WireMeter

Item = TypeVar("Item")
Result = TypeVar("Result")
Operation = Callable[[Connection, Sequence[Item]], Sequence[Result]]
"""A write: a function of a connection and a list, which gives a result for each item."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application. Only its shape is named here: the core knows no web library."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A message that can be taken in, and the positive answer that may leave once it is committed."""

    wire: str
    peer: str
    """Address it came from."""
    sender: str = field(repr=False)
    """Who says so in the message (MSH-3, MSH-4): with `control_id`, what duplicates are told by."""
    control_id: str = field(repr=False)
    kind: str
    """`ORU^R01`."""
    accession: str = field(default="", repr=False)
    """To find a case's messages by; empty for an ADT."""
    raw: bytes = field(repr=False)
    ack: bytes = field(repr=False)
    """What may leave at once; empty where the sender wants nothing at this point."""
    urgent: bool = False
    """Whether somebody waits for what it may lead to: it goes before routine work."""
    touches: tuple[str, ...] = field(default=(), repr=False)
    """What it speaks of beside `accession`: other accessions, and `P:<patient number>` where that is all it names."""
    reply_to: str = ""
    """When the sender wants to hear what became of it (MSH-16: `AL`, `NE`, `ER`, `SU`); empty: not at all."""
    trace: str = ""
    """The W3C `traceparent` that its work goes on under; empty: none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A message that is committed."""

    id: int
    """The journal's; of a repeated message, that of the first."""
    ack: bytes = field(repr=False)
    """The answer to send: for a repeated message, the first one again."""
    new: bool
    reply: bytes = field(default=b"", repr=False)
    """What the sender of a repeated message was told about its end; empty: nothing yet."""
    reused: bool = False
    """Whether its sender had used its control id before, for other bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """A message that can't be taken in: kept with its reason, answered with `ack` (which may be empty)."""

    wire: str
    peer: str
    reason: str
    detail: str = field(repr=False)
    control_id: str = field(default="", repr=False)
    kind: str = ""
    raw: bytes = field(repr=False)
    """What was read, up to the wire's size limit."""
    size: int
    """Bytes that were sent, as far as known."""
    ack: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Filed:
    """One message of a file."""

    line: int
    """Where it begins, from 1 on."""
    message: Received | Rejected


@dataclass(frozen=True, kw_only=True, slots=True)
class FileForm:
    """Files of messages that a wire can read, such as an archive writes."""

    suffixes: tuple[str, ...]
    """`.hl7`; small letters."""
    read: Callable[[bytes], Sequence[Filed]]
    """The messages of a file, judged as if a peer had sent each."""


class Intake(Protocol):
    """Where a listener hands over what it framed. All return only after the commit (rule 1)."""

    def put(self, received: Received) -> asyncio.Future[Accepted]:
        """Have it committed. No coroutine: a listener hangs a callback on the future of each message.

        It gets JournalError when nothing could be committed; then no positive answer may leave.
        """
        ...

    async def accept(self, received: Received) -> bytes:
        """Commit, then give the answer to send: for bytes seen before from the same sender, the first answer again.

        Raises JournalError when nothing could be committed; then no positive answer may leave.
        """
        ...

    async def outcome_of(self, message_id: int, *, at_most_s: float) -> str | None:
        """How a message ended, waited for: `done`, `failed`, `quarantined`, `dropped`; None: not in time."""
        ...

    async def keep_reply(self, message_id: int, reply: bytes) -> bytes:
        """Keep what its sender is told about a message's end, before it is told; give what was kept first."""
        ...

    async def reject(self, rejected: Rejected) -> None:
        """Commit a message that was not taken in."""
        ...

    def count(self, wire: str, kind: str, outcome: str) -> None:
        """Count what `commit` or the store took in, in fixed words; `accept` and `reject` count by themselves."""
        ...


class Store(Protocol):
    """The journal's database, for a wire that keeps rows of its own there."""

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Run `query` off the event loop. Readers never wait for the writer. Raises JournalError."""
        ...

    def read_now(self, query: Callable[[Connection], Result]) -> Result:
        """`read` for callers that have no event loop, and for queries of microseconds."""
        ...

    async def write(self, operation: Operation[Item, Result], item: Item) -> Result:
        """Run `operation` with `item`, and maybe others, in the next transaction; return after the commit.

        Raises JournalError when the database refuses, and whatever `operation` raised.
        """
        ...

    async def write_first(self, operation: Operation[Item, Result], item: Item) -> Result:
        """`write` for what somebody outside waits for: before all that is queued by `write`."""
        ...


class Bells(Protocol):
    """Who may have work is told: in this process, or in every gateway of the cluster.

    A topic is a word, and what it is about after a colon: `apply:17`, `draft`, `deliver:dictation`, `state:5`,
    `subscription`, `destination`. A ring may be lost and may come for nothing: whoever hears it looks, and looks now
    and then without one.
    """

    def ring(self, topic: str) -> None:
        """Tell everybody who listens to it. On the event loop, after the commit of what is told of."""
        ...

    def on(self, topic: str, callback: Callable[[str], None]) -> None:
        """Have `callback` called on the event loop with each topic that is rung: this one, and those below its word."""
        ...

    def off(self, topic: str, callback: Callable[[str], None]) -> None:
        """Call it no more."""
        ...


class Kind(StrEnum):
    """What a gateway may have to itself: the word before the colon of a lease's name."""

    CASES = "cases"
    """`cases:17`: the messages and drafts of a bucket of cases."""
    DELIVER = "deliver"
    """`deliver:dictation:0`: one connection to a destination."""
    WORKER = "worker"
    """`worker:purge`: what only one gateway does."""


class Holder(Protocol):
    """What this gateway may work on. Of several on one journal, one has a name at a time."""

    @property
    def is_sole(self) -> bool:
        """Whether no other gateway can be there: everything is held, and for good."""
        ...

    def held(self, kind: Kind) -> Mapping[str, int]:
        """The names held now, each with the epoch it is held in."""
        ...

    def keeps(self, held: Mapping[str, int]) -> bool:
        """Whether nobody else can have any of these yet. What is to be given away is kept till its work is over."""
        ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback` called on the event loop whenever what is held has changed."""
        ...

    def fence(self, conn: Connection, held: Mapping[str, int]) -> None:
        """The first statement of a transaction with effects: raises LeaseLost when any of these is another's now.

        `held` is what was held when the work was read, not what is now.
        """
        ...

    def using(self, names: Sequence[str]) -> AbstractContextManager[None]:
        """Work that must end before these names are given away, such as a message that was sent and isn't answered."""
        ...


class Desk(Intake, Protocol):
    """An intake for wires that answer questions too, and that keep rows of their own beside the messages."""

    @property
    def store(self) -> Store: ...

    @property
    def bells(self) -> Bells: ...

    @property
    def holder(self) -> Holder: ...

    @property
    def meter(self) -> WireMeter: ...

    async def commit(self, operation: Operation[Item, Result], item: Item) -> Result:
        """Run `operation` in the next transaction, then have what it took in applied.

        The operation itself calls `radbridge.journal.messages.accept` beside its own rows, so that both are there or
        neither. Raises JournalError when nothing was committed.
        """
        ...

    async def draft_of(self, key: CaseKey, findings_digest: str, *, at_most_s: float) -> StoredDraft | None:
        """The newest draft of exactly these findings, waited for; None when there is none in time.

        It may hold no text: its state and reason say why (`NONE`, `BLOCKED`). A stale one is never given,
        and one that was taken back only when the time is over: the text may be a former one that is drafted again.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """An application on the HTTP port."""

    path: str
    """`/fhir`: this path and all below it. Of two that fit, the longer one gets the request."""
    app: AsgiApp


class Worker(Protocol):
    """Something that a wire does all the time, such as watching for notifications to send."""

    @property
    def name(self) -> str: ...

    async def run(self) -> None:
        """Work until cancelled. One that ends or fails is started again after a second."""
        ...


class Listener(Protocol):
    """A server of one wire."""

    @property
    def address(self) -> str:
        """`host:port` as bound; with port 0 configured, the port that was given."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Stop taking in; what is being answered is answered."""
        ...


class Sink(Protocol):
    """A destination for drafts.

    It composes in a thread, ahead of the turn: maybe during a `deliver` of its own, twice, or for nothing.
    """

    @property
    def name(self) -> str: ...

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The message that carries the draft, always unverified (rule 2)."""
        ...

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The message that takes the draft back (rule 3)."""
        ...

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Send, wait for the answer to this very message, return its code (`AA`).

        Raises DeliveryFailed when trying again makes sense, DeliveryRefused when it doesn't, DeliveryMoot when nobody
        is there who would want it.
        """
        ...

    async def ping(self) -> None:
        """Raise DeliveryFailed when nobody listens there."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class LanedSink(Sink, Protocol):
    """A destination that can be reached over several connections at once."""

    def session(self, number: int) -> Sink:
        """The same destination over the connection of that number, from 0 on; `close` closes them all."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Ping:
    """A peer that is asked but gets no drafts: `radbridge check` tries it beside the sinks."""

    name: str
    """`dicom peer pacs`."""
    ask: Callable[[], Awaitable[None]]
    """Raises a RadBridgeError when the peer doesn't answer as it should."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wire:
    """One wire, ready to be started."""

    name: str
    translate: Callable[[bytes], Sequence[Event]]
    """Journaled bytes to facts. Pure; raises MessageFault for what it can't read."""
    listeners: Sequence[Listener] = ()
    sinks: Sequence[Sink] = ()
    mounts: Sequence[Mount] = ()
    workers: Sequence[Worker] = ()
    """Run in every gateway."""
    leased: Sequence[Worker] = ()
    """Run in one gateway of the cluster at a time, the holder of `worker:<name>`."""
    bound: Mapping[str, str] = field(default_factory=dict)
    """By a sink's name: the lease whose holder alone can deliver there, as `worker:fhircast-hub`."""
    max_attempts: Mapping[str, int] = field(default_factory=dict)
    """By a sink's name: sends before a delivery is dead and an operator has to look; 20 where nothing is said."""
    pings: Sequence[Ping] = ()
    files: FileForm | None = None
    """None: it reads no files."""


class Status(Protocol):
    """What the HTTP port may ask of the gateway."""

    @property
    def store(self) -> Store:
        """The journal's database."""
        ...

    @property
    def bells(self) -> Bells: ...

    @property
    def meter(self) -> WireMeter: ...

    @property
    def mounts(self) -> Sequence[Mount]:
        """The applications of all wires; known from the start of the listeners on."""
        ...

    async def readiness(self) -> Mapping[str, bool]:
        """Each listener, the journal and the model, and whether it answers."""
        ...

    def metrics_page(self) -> bytes:
        """The Prometheus exposition text."""
        ...
