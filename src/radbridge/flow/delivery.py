"""The delivery of what is in the outbox: one worker a destination, so that a slow one harms no other.

Before each send the journal notes that it begins, and only if the delivery is still wanted. So a draft that went stale
is never sent afterwards, and a crash can repeat a send only under the same control id with the same bytes.

Drafts of cases with a critical finding go first (`radbridge.flow.turns`).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection

from radbridge.draft import DraftState
from radbridge.errors import DeliveryFailed, DeliveryMoot, DeliveryRefused, JournalError
from radbridge.flow import noting
from radbridge.flow.turns import Turns
from radbridge.flow.wake import Alarm
from radbridge.journal import Journal, cases, deliveries, drafts
from radbridge.journal.deliveries import Delivery
from radbridge.journal.schema import DeliveryState, Purpose
from radbridge.metrics import Metrics
from radbridge.traces import Name, span
from radbridge.wire import Sink

log = structlog.get_logger(__name__)

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 60.0
LONGEST_PAUSE_S = 900.0
"""A peer that wants to be left alone for longer is asked all the same: its drafts grow old."""
KNOCK_S = 5.0
"""An absent peer is tried again at least this often: knocking costs little, and its drafts should come soon."""


def backoff(attempts: int) -> float:
    """Seconds to the next try: doubling from half a second to a minute, with jitter of a half to one and a half."""
    return float(min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(attempts, 10)) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one send came to."""

    delivery: Delivery
    state: DeliveryState
    """PENDING: to be tried again at `at`."""
    answer: str
    at: datetime
    sent: bool = True
    """False when nobody was reached."""


class Courier:
    """Delivers to one destination, a case's messages in order, until cancelled."""

    def __init__(self, journal: Journal, sink: Sink, *, max_attempts: int, metrics: Metrics) -> None:
        self.alarm = Alarm()
        self._journal = journal
        self._sink = sink
        self._max_attempts = max_attempts
        self._metrics = metrics
        self._unreachable = 0
        self._turns = Turns[Delivery](since=lambda delivery: delivery.created_at)

    async def run(self) -> None:
        """Deliver what is due, then wait for more."""
        while True:
            try:
                wait_s = await self._deliver_next()
            except JournalError:
                log.exception("journal unavailable", retry_in_s=1.0)
                wait_s = 1.0
            if wait_s != 0:
                await self.alarm.wait(wait_s)

    async def _deliver_next(self) -> float | None:
        """Send the next delivery; seconds until it makes sense to look again, None: when there is something new."""
        lines = await self._journal.read(self._next)
        now = datetime.now(UTC)
        urgent, other = (deque(d for d in line if d.next_at <= now) for line in lines)
        delivery = self._turns.take(urgent, other)
        if delivery is None:
            return min(((d.next_at - now).total_seconds() for line in lines for d in line), default=None)
        payload = delivery.payload or await self._compose(delivery)
        if not payload:
            return 0
        begun: bool = await self._journal.write(_begin, (delivery, payload))
        if begun:
            await self._journal.write(_end, await self._send(delivery, payload))
            if self._unreachable:
                await asyncio.sleep(min(KNOCK_S, backoff(self._unreachable - 1)))
        return 0

    def _next(self, conn: Connection) -> list[list[Delivery]]:
        """The next urgent delivery and the next other one, where there are such."""
        heads = [deliveries.due(conn, self._sink.name, urgent=urgent) for urgent in (True, False)]
        return [[head] if head else [] for head in heads]

    async def _compose(self, delivery: Delivery) -> bytes:
        case, stored = await self._journal.read(
            lambda conn: (cases.load(conn, delivery.key), drafts.by_id(conn, delivery.draft_id))
        )
        if case is None or stored is None:
            raise JournalError("a delivery without its case or draft; the journal was changed by hand")
        compose = self._sink.compose if delivery.purpose is Purpose.DRAFT else self._sink.compose_withdrawal
        try:
            return await asyncio.to_thread(compose, case, stored.draft, delivery.control_id)
        except Exception as error:
            # A draft that can't be written down must not hold up the ones behind it.
            log.exception("delivery can't be composed", control_id=delivery.control_id)
            answer = f"can't be composed ({type(error).__name__})"
            await self._journal.write(_end, self._result(delivery, DeliveryState.DEAD, answer))
            return b""

    async def _send(self, delivery: Delivery, payload: bytes) -> Result:
        attempts = delivery.attempts + 1
        try:
            with span(Name.DELIVER, delivery.trace, destination=delivery.destination, purpose=delivery.purpose):
                code = await self._sink.deliver(delivery.control_id, payload)
        except DeliveryRefused as error:
            result = self._result(delivery, DeliveryState.REFUSED, str(error))
        except DeliveryMoot as error:
            self._unreachable = 0
            result = self._result(delivery, DeliveryState.CANCELLED, str(error))
        except DeliveryFailed as error:
            self._unreachable = self._unreachable + 1 if not error.sent else 0
            if error.sent and attempts >= self._max_attempts:
                result = self._result(delivery, DeliveryState.DEAD, f"gave up after {attempts} attempts: {error}")
            else:
                wait_s = _pause(error, attempts) if error.sent else 0.0  # the courier waits for an absent peer itself
                result = self._result(delivery, DeliveryState.PENDING, str(error), wait_s=wait_s, sent=error.sent)
        else:
            self._unreachable = 0
            self._metrics.delivery_seconds.observe((datetime.now(UTC) - delivery.created_at).total_seconds())
            result = self._result(delivery, DeliveryState.CONFIRMED, code)
        self._metrics.deliveries.labels(delivery.destination, result.state).inc()
        if result.state not in (DeliveryState.CONFIRMED, DeliveryState.CANCELLED):
            log.warning(
                "delivery not confirmed",
                destination=delivery.destination,
                control_id=delivery.control_id,
                state=result.state,
                attempts=attempts,
                reason=result.answer,
            )
        return result

    def _result(
        self, delivery: Delivery, state: DeliveryState, answer: str, *, wait_s: float = 0.0, sent: bool = True
    ) -> Result:
        at = datetime.now(UTC) + timedelta(seconds=wait_s)
        return Result(delivery=delivery, state=state, answer=answer, at=at, sent=sent)


def _pause(error: DeliveryFailed, attempts: int) -> float:
    """Seconds until the next try: at least as long as the peer asked for, within reason."""
    return max(backoff(attempts - 1), min(error.retry_after_s or 0.0, LONGEST_PAUSE_S))


def _begin(conn: Connection, items: Sequence[tuple[Delivery, bytes]]) -> list[bool]:
    """Note the send, unless the draft stands no more: then the delivery is cancelled."""
    begun = []
    for delivery, payload in items:
        stored = drafts.by_id(conn, delivery.draft_id)
        stale = delivery.purpose is Purpose.DRAFT and (stored is None or stored.state is not DraftState.CURRENT)
        if stale:
            deliveries.end(conn, delivery.seq, DeliveryState.CANCELLED, "withdrawn")
        begun.append(not stale and deliveries.begin(conn, delivery, payload))
    return begun


def _end(conn: Connection, results: Sequence[Result]) -> list[None]:
    for r in results:
        if r.state is DeliveryState.PENDING:
            deliveries.retry(conn, r.delivery.seq, at=r.at, answer=r.answer, sent=r.sent)
        else:
            confirmed = r.at if r.state is DeliveryState.CONFIRMED else None
            deliveries.end(conn, r.delivery.seq, r.state, r.answer, confirmed_at=confirmed)
            if confirmed:
                noting.delivered(conn, r.delivery, r.answer)
    return [None] * len(results)
