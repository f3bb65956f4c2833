"""The two commits of a delivery: one before the send, one behind it.

The first notes that a send begins, and only if the delivery is still wanted and its destination may be sent to. So a
draft that went stale is never sent afterwards, and a crash can repeat a send only under the same control id with the
same bytes.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto

from sqlalchemy import Connection

from radbridge.config.delivery import Delivery as Rules
from radbridge.draft import DraftState
from radbridge.errors import DeliveryFailed
from radbridge.flow import noting
from radbridge.flow.breaker import Breaker
from radbridge.journal import deliveries, destinations, drafts
from radbridge.journal.deliveries import Delivery
from radbridge.journal.destinations import Health
from radbridge.journal.locks import Lock, hold, is_gone
from radbridge.journal.schema import DeliveryState, Purpose
from radbridge.wire import Holder

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 60.0
LONGEST_PAUSE_S = 900.0
"""A peer that wants to be left alone for longer is asked all the same: its drafts grow old."""
_GOES = frozenset((DeliveryState.PENDING, DeliveryState.CONFIRMED))
"""What is at its destination, or will be."""


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


class Begun(Enum):
    """Whether a send may begin."""

    YES = auto()
    NO = auto()
    """It isn't wanted any more, or it is dead."""
    LATER = auto()
    """Its destination is left alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """A destination as one courier works for it."""

    name: str
    rules: Rules
    max_attempts: int
    holder: Holder
    lease: str
    me: str = ""
    """The gateway's id, where several share the journal."""

    @property
    def breaker(self) -> Breaker:
        """When the destination is left alone."""
        return Breaker(after=self.rules.breaker_after, first_s=self.rules.breaker_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A send that is to begin."""

    lane: Lane
    held: Mapping[str, int]
    """The lease that it was read under."""
    delivery: Delivery
    payload: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one send came to."""

    lane: Lane
    held: Mapping[str, int]
    delivery: Delivery
    state: DeliveryState
    """PENDING: to be tried again at `at`."""
    answer: str
    at: datetime
    heard: Heard | None
    """None: it was never tried."""
    sent_at: datetime | None = None
    """When it began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A send whose end isn't noted, or which maybe arrived while another gateway had its lease.

    That one may have taken the draft back before.
    """

    delivery: Delivery
    sender: str
    """Whose send it was."""
    mine: bool
    """Else it is found in the journal, and its gateway is gone."""
    sent: bool = True
    """False where it is known that nothing left, or left while the lease was kept: only its mark is to go."""


def begin(conn: Connection, items: Sequence[Start]) -> list[Begun]:
    """Note that sends begin."""
    return [_begin_one(conn, item, datetime.now(UTC)) for item in items]


def _begin_one(conn: Connection, item: Start, now: datetime) -> Begun:
    lane, delivery = item.lane, item.delivery
    lane.holder.fence(conn, item.held)
    hold(conn, Lock.CASE, [delivery.key.accession])
    stored = drafts.by_id(conn, delivery.draft_id)
    if delivery.purpose is Purpose.DRAFT and (stored is None or stored.state is not DraftState.CURRENT):
        deliveries.end(conn, delivery, DeliveryState.CANCELLED, "withdrawn")
        return Begun.NO
    place = destinations.hold(conn, lane.name, now)
    waiting = deliveries.find_waiting(conn, delivery)
    if waiting is None:
        return Begun.NO
    health = lane.breaker.claim(place.health, now, fresh=waiting.is_fresh)
    if place.is_paused or health is None:
        return Begun.LATER
    if dead := _why_dead(waiting, lane.rules, place.health):
        deliveries.end(conn, delivery, DeliveryState.DEAD, dead)
        return Begun.NO
    if health != place.health:
        destinations.note_health(conn, lane.name, health)
    return Begun.YES if deliveries.begin(conn, waiting, item.payload, at=now, sender=lane.me) else Begun.NO


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


def end(conn: Connection, results: Sequence[Result]) -> list[None]:
    """Note what sends came to."""
    for result in results:
        result.lane.holder.fence(conn, result.held)
        before = _note_health(conn, result)
        if result.state is DeliveryState.PENDING:
            silent = result.heard is Heard.NOTHING
            deliveries.retry(
                conn,
                result.delivery,
                at=result.at,
                answer=result.answer,
                sent=result.heard is not Heard.NOBODY,
                sent_at=result.sent_at if silent else None,
                ignored=silent and before.failures == 0,
                sender=result.lane.me,
            )
        else:
            confirmed = result.at if result.state is DeliveryState.CONFIRMED else None
            deliveries.end(
                conn,
                result.delivery,
                result.state,
                result.answer,
                confirmed_at=confirmed,
                sender=result.lane.me,
            )
            if confirmed:
                noting.delivered(conn, result.delivery, result.answer)
    return [None] * len(results)


def find_orphans(conn: Connection, lane: Lane, buckets: Collection[int] | None) -> list[Doubt]:
    """The sends to a destination whose gateways ended over them: killed, maybe, just when the bytes had left."""
    found = deliveries.find_sent_by_others(conn, lane.name, me=lane.me, buckets=buckets)
    gone = {id for id in {s for d in found for s in d.senders} - {lane.me} if is_gone(conn, id)}
    return [Doubt(delivery=d, sender=s, mine=False) for d in found for s in d.senders if s in gone]


def make_good(conn: Connection, items: Sequence[Doubt]) -> list[None]:
    """Have no draft stay at a peer that got it, maybe, after another gateway had taken it back there.

    Under no lease, for it is the other's. A draft that stands needs nothing: what takes it back will come behind it.
    """
    now = datetime.now(UTC)
    for doubt in items:
        delivery = doubt.delivery
        key, places = delivery.key, [delivery.destination]
        hold(conn, Lock.CASE, [key.accession])
        is_open = deliveries.forget_send(conn, delivery, doubt.sender)
        if not doubt.sent or not (doubt.mine or is_open):
            continue
        standing, others = drafts.current_id(conn, key), deliveries.of_case(conn, key)
        if delivery.purpose is Purpose.DRAFT:
            if standing == delivery.draft_id or (not doubt.mine and any(_follows(d, delivery) for d in others)):
                continue
            deliveries.put(conn, places, Purpose.WITHDRAWAL, key, delivery.draft_id, at=now, urgent=delivery.urgent)
        if delivery.purpose is Purpose.WITHDRAWAL and any(
            d.control_id == delivery.control_id and d.state is DeliveryState.PENDING for d in others
        ):
            continue  # it goes out again, and what is behind it hasn't left yet
        # It takes the newer draft away with it, where a peer has one place for both.
        if standing is not None and any(
            (d.draft_id, d.destination) == (standing, delivery.destination) and d.state in _GOES for d in others
        ):
            deliveries.put(conn, places, Purpose.DRAFT, key, standing, at=now, urgent=delivery.urgent)
    return [None] * len(items)


def _follows(waiting: Delivery, sent: Delivery) -> bool:
    """Whether this takes a draft back, and was never sent: it goes out behind whatever left before."""
    is_its_withdrawal = waiting.purpose is Purpose.WITHDRAWAL and waiting.draft_id == sent.draft_id
    is_to_come = waiting.state is DeliveryState.PENDING and waiting.is_fresh
    return is_its_withdrawal and is_to_come and waiting.destination == sent.destination


def _note_health(conn: Connection, result: Result) -> Health:
    """Note what a send says of its destination; give how that was before."""
    if result.heard is None:
        return Health()
    breaker, now = result.lane.breaker, datetime.now(UTC)
    before = destinations.hold(conn, result.lane.name, now).health
    if result.heard is Heard.YES:
        health = breaker.said_yes(before, now)
    elif result.heard is Heard.NOBODY:
        health = breaker.unreached(before, now)
    elif result.heard is Heard.ERROR and result.delivery.nacks and before.open_until is None:
        health = breaker.said_no_again(before, now)
    else:
        health = breaker.failed(before, now, answered=result.heard is Heard.ERROR)
    destinations.note_health(conn, result.lane.name, health)
    return before
