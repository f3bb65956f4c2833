"""One subscription as a hub sees it: what it wants, what waits for it, what it hasn't answered. No socket, no clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from radbridge.errors import MessageFault
from radbridge_adapters.fhircast.message import EventMessage
from radbridge_adapters.fhircast.names import SYNC_ERROR, Wanted
from radbridge_adapters.resources.json import read_json, write_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How patient a hub is with one subscriber. Seconds, on whatever clock `now` comes from."""

    queue: int = 64
    """Events that may wait to be sent."""
    queue_bytes: int = 4 * 2**20
    ack_s: float = 10.0
    heartbeat_s: float = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """An event that a subscriber has to answer."""

    id: str
    name: str
    due: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """An event that a subscriber answered with no 2xx."""

    sent: Sent
    status: int


@dataclass(slots=True)
class Subscriber:
    """A subscription. Times are seconds of a monotonic clock."""

    topic: str = field(repr=False)
    digest: str
    wanted: Wanted
    name: str
    """`subscriber.name`, told to others when it fails; empty when it gave none."""
    until: float
    """When its lease is over."""
    lease_s: int
    limits: Limits
    _queue: deque[str] = field(default_factory=deque, repr=False)
    _queued_bytes: int = 0
    _unanswered: dict[str, Sent] = field(default_factory=dict, repr=False)

    def offer(self, event: EventMessage, now: float) -> bool:
        """Queue an event; False when the queue is full, which is when a subscriber reads nothing."""
        text = write_json(event.write(self.topic)).decode()
        if len(self._queue) >= self.limits.queue or self._queued_bytes + len(text) > self.limits.queue_bytes:
            return False
        self._put(text)
        self._unanswered[event.id] = Sent(id=event.id, name=str(event.name), due=now + self.limits.ack_s)
        return True

    def tell(self, document: Mapping[str, Any]) -> None:
        """Queue what needs no answer: a confirmation, a heartbeat."""
        self._put(write_json(document).decode())

    def _put(self, text: str) -> None:
        self._queue.append(text)
        self._queued_bytes += len(text)

    def next(self) -> str | None:
        """The next text to send."""
        if not self._queue:
            return None
        text = self._queue.popleft()
        self._queued_bytes -= len(text)
        return text

    def answer(self, raw: str) -> Refusal | None:
        """Take what came over the socket; a refusal when it says that an event can't be followed.

        `status` may be a number or a string, and Medplum's client sends none, which means 200. What is no answer to
        something sent means nothing.
        """
        try:
            document = read_json(raw.encode())
        except MessageFault:
            return None
        sent = self._unanswered.pop(str(document.get("id")), None)
        status = _read_status(document.get("status", 200))
        if sent is None or 200 <= status < 300 or sent.name == SYNC_ERROR:
            return None
        return Refusal(sent=sent, status=status)

    def overdue(self, now: float) -> Sent | None:
        """The event sent longest ago, if its answer should be here by now."""
        first = next(iter(self._unanswered.values()), None)
        return first if first is not None and first.due <= now else None

    def next_due(self) -> float:
        """When the next answer, or the end of the lease, is due."""
        first = next(iter(self._unanswered.values()), None)
        return min(self.until, first.due if first else math.inf)

    def forget(self) -> None:
        """A new connection begins with nothing owed."""
        self._queue.clear()
        self._queued_bytes = 0
        self._unanswered.clear()

    def confirmation(self) -> dict[str, Any]:
        """What a subscriber is told on connecting (2.4)."""
        return {
            "hub.mode": "subscribe",
            "hub.topic": self.topic,
            "hub.events": str(self.wanted),
            "hub.lease_seconds": self.lease_s,
        }

    def denial(self, reason: str) -> dict[str, Any]:
        """What a subscriber is told at the end (2.4)."""
        return {
            "hub.mode": "denied",
            "hub.topic": self.topic,
            "hub.events": str(self.wanted),
            "hub.reason": reason,
        }


def _read_status(said: object) -> int:
    try:
        return int(said) if isinstance(said, (int, str)) else 500
    except ValueError:
        return 500
