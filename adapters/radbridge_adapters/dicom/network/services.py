"""The seam between the protocol and what RadBridge does with what comes: requests, answers, and who gives them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from radbridge_adapters.dicom.encoding.header import Header


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What every DIMSE request with a data set tells."""

    calling: str = field(repr=False)
    """Calling AE title, without the spaces around it. Not for the log: see `peer_name`."""
    peer: str
    """`host:port` of the caller."""
    peer_name: str = ""
    """Name of the configured peer that this is; empty where the site allows anybody."""
    sop_class: str
    """Affected (or Requested) SOP Class UID of the command; empty where it was left out."""
    sop_instance: str = field(repr=False)
    """Affected (or Requested) SOP Instance UID of the command; empty where it was left out."""
    abstract_syntax: str
    """The SOP class that the presentation context was accepted for."""
    transfer_syntax: str
    """What the presentation context was accepted with: an answer's data set must be in it too."""
    header: Header = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreRequest(Request):
    """C-STORE (PS3.7 9.1.1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateRequest(Request):
    """N-CREATE (PS3.7 10.1.5): a performed procedure step or an instance availability notification."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetRequest(Request):
    """N-SET (PS3.7 10.1.3): a change of a performed procedure step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ActRequest(Request):
    """N-ACTION (PS3.7 10.1.4): a storage commitment request."""

    action: int
    """Action Type ID."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the response says."""

    status: int
    """One of `radbridge_adapters.dicom.network.status`."""
    comment: str = ""
    """Error Comment (0000,0902): fixed words, never a value; at most 64 characters."""
    offending: tuple[int, ...] = ()
    """Tags for Offending Element (0000,0901) or, of the N services, Attribute Identifier List (0000,1005)."""
    error: int | None = None
    """Error ID (0000,0903)."""
    sop_instance: str = ""
    """SOP Instance UID that an N-CREATE got from us; empty: the request's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """An N-EVENT-REPORT to send on the association that the N-ACTION came over."""

    type: int
    """Event Type ID."""
    sop_class: str
    sop_instance: str
    dataset: bytes = field(repr=False)
    """Encoded in the request's `transfer_syntax`."""


class Services(Protocol):
    """What the protocol asks. Every method returns only after its commit (rule 1).

    JournalError becomes 0xA700 (C-STORE) or 0x0213 (N services), any other exception 0x0110: the listener lives on.
    The data set of every request could be walked to its end; whether it says enough is judged here.
    """

    async def store(self, request: StoreRequest) -> Answer: ...

    async def create(self, request: CreateRequest) -> Answer: ...

    async def set(self, request: SetRequest) -> Answer: ...

    async def act(self, request: ActRequest) -> tuple[Answer, Event | None]:
        """The event, if any, is sent right after the answer."""
        ...

    async def unreported(self, request: ActRequest, event: Event) -> None:
        """The peer left, or refused, before it had acknowledged `event`."""
        ...

    async def abandoned(self, request: Request, reason: str) -> None:
        """Keep what was read of a request that comes to nothing, with `reason`.

        `reason` is `aborted` (the peer went away in mid-object) or a fault of `HeaderReader`: `not_dicom`,
        `bad_length`, `too_deep`, `deflate`, `truncated`, `header_too_big`. The status for it is the protocol's.
        `request.header` holds at most the first 64 KiB before the pixels and may end in mid-element.
        """
        ...
