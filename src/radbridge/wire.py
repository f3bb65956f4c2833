"""What a wire is to the core: listeners that bring bytes in, a translator, and sinks that take drafts out.

A wire registers a factory under the entry-point group `radbridge.adapters`; `radbridge.gateway` calls it with the
site's configuration and the intake:

    def wire(site: Site, intake: Intake) -> Wire: ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from radbridge.case import Case
from radbridge.draft import DraftImpression
from radbridge.events import Event


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

        Raises DeliveryFailed when trying again makes sense, DeliveryRefused when it doesn't.
        """
        ...

    async def ping(self) -> None:
        """Raise DeliveryFailed when nobody listens there."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Wire:
    """One wire, ready to be started."""

    name: str
    translate: Callable[[bytes], Sequence[Event]]
    """Journaled bytes to facts. Pure; raises MessageFault for what it can't read."""
    listeners: Sequence[Listener] = ()
    sinks: Sequence[Sink] = ()


class Status(Protocol):
    """What the HTTP port may ask of the gateway."""

    async def readiness(self) -> Mapping[str, bool]:
        """Each listener, the journal and the model, and whether it answers."""
        ...

    def metrics_page(self) -> bytes:
        """The Prometheus exposition text."""
        ...
