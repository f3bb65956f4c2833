"""What a wire is to the core: listeners and mounts that bring bytes in, a translator, and sinks that take drafts out.

A wire registers a factory under the entry-point group `radbridge.adapters`; `radbridge.gateway` calls it with the
site's configuration and its desk. One that only takes messages in asks for no more than an `Intake`:

    def wire(site: Site, desk: Desk) -> Wire: ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from radbridge.case import Case, CaseKey
from radbridge.draft import DraftImpression, StoredDraft
from radbridge.events import Event

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
    """Where a listener hands over what it framed. Both return only after the commit (rule 1)."""

    async def accept(self, received: Received) -> bytes:
        """Commit, then give the answer to send: for bytes seen before from the same sender, the first answer again.

        Raises JournalError when nothing could be committed; then no positive answer may leave.
        """
        ...

    async def reject(self, rejected: Rejected) -> None:
        """Commit a message that was not taken in."""
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


class Desk(Intake, Protocol):
    """An intake for wires that answer questions too, and that keep rows of their own beside the messages."""

    @property
    def store(self) -> Store: ...

    async def commit(self, operation: Operation[Item, Result], item: Item) -> Result:
        """Run `operation` in the next transaction, then have what it took in applied.

        The operation itself calls `radbridge.journal.messages.accept` beside its own rows, so that both are there or
        neither. Raises JournalError when nothing was committed.
        """
        ...

    def count(self, wire: str, kind: str, outcome: str) -> None:
        """Count a message that `commit` or the store took in, in fixed words.

        `accept` and `reject` count by themselves.
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
    """A destination for drafts."""

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
    max_attempts: Mapping[str, int] = field(default_factory=dict)
    """By a sink's name: sends before a delivery is dead and an operator has to look; 20 where nothing is said."""
    pings: Sequence[Ping] = ()
    files: FileForm | None = None
    """None: it reads no files."""


class Status(Protocol):
    """What the HTTP port may ask of the gateway."""

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
