"""What is committed between two sends: what came of the last one, and that the next one begins.

A send begins in the transaction that looks what is next, and only if it is still wanted, is as it was composed, and its
destination may be sent to. So a draft that went stale is never sent afterwards, and a crash can repeat a send only
under the same control id with the same bytes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from time import monotonic

from sqlalchemy import Connection

from radbridge.config.delivery import Delivery as Rules
from radbridge.errors import DeliveryFailed
from radbridge.flow import noting
from radbridge.flow.lane import LONGEST_PAUSE_S, Lane
from radbridge.journal import deliveries, destinations
from radbridge.journal.deliveries import Delivery
from radbridge.journal.destinations import Destination, Health
from radbridge.journal.heads import Head, Look
from radbridge.journal.locks import Lock, hold
from radbridge.journal.schema import DeliveryState, Purpose
from radbridge.wire import Holder

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 60.0


def backoff(attempts: int) -> float:
    """Seconds to the next try: doubling from half a second to a minute, with jitter of a half to one and a half."""
    return float(min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(attempts, 10)) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret


def pause(error: DeliveryFailed, attempts: int) -> float:
    """Seconds until the next try: at least as long as the peer asked for, within reason."""
    return max(backoff(attempts - 1), min(error.retry_after_s or 0.0, LONGEST_PAUSE_S))


class Heard(Enum):
    """What one send says of its destination."""

    YES = auto()
    """It took the message, or refused this one for good: it works."""
    ERROR = auto()
    """It answered, and asked for another try."""
    NOTHING = auto()
    """It was reached and didn't answer."""
    NOBODY = auto()
    """It wasn't reached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A delivery whose bytes are there."""

    delivery: Delivery
    payload: bytes = field(repr=False)
    saved_at: datetime | None = None
    """When its case had been saved last as it was composed. None: that was for an earlier send."""
    at: float = field(default_factory=monotonic)
    """When it was composed, in seconds of `monotonic`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one send came to."""

    delivery: Delivery
    state: DeliveryState
    """PENDING: to be tried again at `at`."""
    answer: str
    at: datetime
    heard: Heard | None
    """None: it was never tried."""
    sent_at: datetime | None = None
    """When it began."""


def result_of(
    delivery: Delivery, state: DeliveryState, answer: str, heard: Heard | None, *, wait_s: float = 0.0
) -> Result:
    """What a send came to just now; `wait_s`: before it is tried again."""
    at = datetime.now(UTC) + timedelta(seconds=wait_s)
    return Result(delivery=delivery, state=state, answer=answer, at=at, heard=heard)


def weigh(lane: Lane, delivery: Delivery, error: DeliveryFailed) -> Result:
    """What a send without a yes comes to: only answers count against the message."""
    if not error.sent:  # the courier waits for an absent peer itself
        return result_of(delivery, DeliveryState.PENDING, str(error), Heard.NOBODY)
    heard = Heard.ERROR if error.answered else Heard.NOTHING
    tries = delivery.nacks + 1
    if error.answered and tries >= lane.max_attempts:
        return result_of(delivery, DeliveryState.DEAD, f"gave up after {tries} attempts: {error}", heard)
    wait_s = pause(error, delivery.attempts + 1)
    return result_of(delivery, DeliveryState.PENDING, str(error), heard, wait_s=wait_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """From one send to the next; either may be missing."""

    lane: Lane
    held: Mapping[str, int]
    """The lease that both were read under."""
    result: Result | None = None
    ready: Ready | None = None
    """What is next, as far as is known; it begins only if it is. Not looked at behind anything but a yes."""
    closed: bool = False
    """Whether only what takes a draft back may go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """A send that has begun: from here on the peer may have seen it."""

    delivery: Delivery
    payload: bytes = field(repr=False)
    at: datetime


def step(conn: Connection, items: Sequence[Step]) -> list[Sending | None]:
    """Note what sends came to, and that the next ones begin; None where none does."""
    held: dict[Holder, dict[str, int]] = {}
    for item in items:
        held.setdefault(item.lane.holder, {}).update(item.held)
    for holder, names in held.items():
        holder.fence(conn, names)
    hold(conn, Lock.CASE, (item.ready.delivery.key.accession for item in items if item.ready is not None))
    return [_step(conn, item, datetime.now(UTC)) for item in items]


def _step(conn: Connection, item: Step, now: datetime) -> Sending | None:
    lane, result = item.lane, item.result
    if result is not None and result.heard not in (None, Heard.YES):
        _settle_without_yes(conn, lane, result, now)
        return None
    if result is not None:
        _end(conn, lane, result)
    look = None if item.ready is None else lane.look(conn, closed=item.closed)
    if result is not None and result.heard is Heard.YES:
        _note_yes(conn, lane, destinations.load(conn, lane.name) if look is None else look.place, result.at)
    return None if look is None or item.ready is None else _begin(conn, lane, look, item.ready, now)


def _begin(conn: Connection, lane: Lane, look: Look, ready: Ready, now: datetime) -> Sending | None:
    """Begin what is ready, if it is what is next. The case is held, so that nothing of it changes meanwhile."""
    place = look.place
    if place.health.open_until is not None:  # of all who may try one does
        place = destinations.hold(conn, lane.name, now)
    head = lane.choose(look, now)
    if place.is_paused or head is None or head.delivery.control_id != ready.delivery.control_id:
        return None
    waiting = head.delivery
    if waiting.purpose is Purpose.DRAFT and not head.stands:
        deliveries.end(conn, waiting, DeliveryState.CANCELLED, "withdrawn")
        return None
    health = lane.breaker.claim(place.health, now, fresh=waiting.is_fresh)
    payload = _payload(head, ready)
    if not payload or health is None:
        return None
    if dead := _why_dead(waiting, lane.rules, place.health):
        deliveries.end(conn, waiting, DeliveryState.DEAD, dead)
        return None
    if health != place.health:
        destinations.note_health(conn, lane.name, health)
    if not deliveries.begin(conn, waiting, payload, at=now, sender=lane.me):
        return None
    return Sending(delivery=waiting, payload=payload, at=now)


def _payload(head: Head, ready: Ready) -> bytes:
    """The bytes to send; empty: they can't be read, or have to be composed again, for the case was saved since."""
    waiting = head.delivery
    if waiting.broken or waiting.payload:
        return waiting.payload
    return ready.payload if ready.saved_at is not None and ready.saved_at == head.saved_at else b""


def _why_dead(waiting: Delivery, rules: Rules, health: Health) -> str:
    """Why no further copy of it may leave by itself; empty: one may.

    A message is dead of silence only where its destination answered others just before its copies and again behind
    the last one. Else it is the destination that says nothing, and no message dies of that.
    """
    if waiting.sent_at is None:
        return ""
    if not rules.resend_unanswered:
        return "unanswered: the peer may have it, and no second copy goes by itself (resend_unanswered = false)"
    answers_others = health.answered_at is not None and health.answered_at > waiting.sent_at
    if answers_others and waiting.unanswered >= rules.max_unanswered:
        return f"unanswered: the peer answers others and never this one, {waiting.unanswered} times"
    return ""


def _end(conn: Connection, lane: Lane, result: Result) -> None:
    confirmed = result.at if result.state is DeliveryState.CONFIRMED else None
    delivery, state = result.delivery, result.state
    is_new = deliveries.end(conn, delivery, state, result.answer, confirmed_at=confirmed, sender=lane.me)
    if confirmed and is_new:
        noting.delivered(conn, result.delivery, result.answer)


def _settle_without_yes(conn: Connection, lane: Lane, result: Result, now: datetime) -> None:
    before = destinations.hold(conn, lane.name, now).health
    destinations.note_health(conn, lane.name, _health(lane, result, before, now))
    if result.state is not DeliveryState.PENDING:
        _end(conn, lane, result)
        return
    silent = result.heard is Heard.NOTHING
    deliveries.retry(
        conn,
        result.delivery,
        at=result.at,
        answer=result.answer,
        sent=result.heard is not Heard.NOBODY,
        sent_at=result.sent_at if silent else None,
        ignored=silent and before.failures == 0,
        sender=lane.me,
    )


def _health(lane: Lane, result: Result, before: Health, now: datetime) -> Health:
    """How a destination is, behind a send that got no yes."""
    if result.heard is Heard.NOBODY:
        return lane.breaker.unreached(before, now)
    if result.heard is Heard.ERROR and result.delivery.nacks and before.open_until is None:
        return lane.breaker.said_no_again(before, now)
    return lane.breaker.failed(before, now, answered=result.heard is Heard.ERROR)


def _note_yes(conn: Connection, lane: Lane, place: Destination, at: datetime) -> None:
    """Note that a destination works, since it was heard, not since it is noted: another send may have begun between.

    Where that is known its row isn't touched: all who send there would queue up.
    """
    if not lane.breaker.is_known(place.health, at):
        before = destinations.hold(conn, lane.name, at).health
        heard = max(at, before.answered_at or at)
        destinations.note_health(conn, lane.name, lane.breaker.said_yes(before, heard))
