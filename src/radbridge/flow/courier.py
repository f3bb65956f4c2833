"""A courier: delivers to one destination over one connection, a case's messages in order, until cancelled.

A destination has as many couriers as `sessions` says. A case's messages always take the same one, by the case's
bucket, and in a cluster one gateway has that courier's lease: so there is one connection at a time for each.

What is urgent goes first (`radbridge.flow.turns`). What takes a draft back goes in closed hours too (rule 3).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import Connection

from radbridge.config.delivery import Delivery as Rules
from radbridge.errors import DeliveryFailed, DeliveryMoot, DeliveryRefused, JournalError, LeaseLost, SealBroken
from radbridge.flow import results
from radbridge.flow.holding import SoleHolder
from radbridge.flow.results import Begun, Doubt, Heard, Lane, Result, Start
from radbridge.flow.turns import AHEAD, Turns
from radbridge.flow.wake import Alarm
from radbridge.flow.windows import Windows
from radbridge.journal import Journal, cases, deliveries, destinations, drafts
from radbridge.journal.buckets import BUCKETS
from radbridge.journal.deliveries import Delivery
from radbridge.journal.destinations import Destination
from radbridge.journal.schema import DeliveryState, Purpose
from radbridge.metrics import Metrics
from radbridge.traces import Name, span
from radbridge.wire import Holder, Kind, Sink

log = structlog.get_logger(__name__)

KNOCK_S = 5.0
"""An absent peer is tried again at least this often: knocking costs little, and its drafts should come soon."""
POLL_S = 1.0
"""Other gateways and the command line change what waits, too."""
LEASE_LOOK_S = 0.1
"""In the midst of a send. Less than the time between a lease that isn't trusted any more and one that is taken."""
TRIPPED_S = 1.0
"""After an error that nobody foresaw."""
_DEFAULTS = Rules()
_RAN_OUT = "the lease ran out before the send was over"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """What is to be known before the next send."""

    place: Destination
    heads: list[Delivery | None]
    """The next urgent delivery and the next other one."""


class Courier:
    """Delivers over one connection to one destination."""

    def __init__(
        self,
        journal: Journal,
        sink: Sink,
        *,
        max_attempts: int,
        metrics: Metrics,
        rules: Rules = _DEFAULTS,
        number: int = 0,
        lease: str = "",
        holder: Holder | None = None,
        me: str = "",
        ahead: timedelta = AHEAD,
        poll_s: float = POLL_S,
    ) -> None:
        """`number` is this connection's, of `rules.sessions`; `lease` what its gateway must hold to use it.

        `me` is the gateway's id, where several share the journal.
        """
        lease = lease or f"{Kind.DELIVER}:{sink.name}:{number}"
        self.alarm = Alarm()
        self._journal = journal
        self._sink = sink
        self._metrics = metrics
        self._lane = Lane(
            name=sink.name,
            rules=rules,
            max_attempts=max_attempts,
            holder=holder or SoleHolder([lease]),
            lease=lease,
            me=me,
        )
        self._buckets = _buckets_of(number, rules.sessions)
        self._windows = Windows(rules.window, rules.timezone)
        self._poll_s = poll_s
        self._unreachable = 0
        self._doubtful: deque[Doubt] = deque()
        self._orphans_at = monotonic()
        """When to look next for what gateways that ended had begun to send."""
        self._turns = Turns[Delivery](since=lambda delivery: delivery.created_at, ahead=ahead)

    @property
    def lease(self) -> str:
        """`deliver:dictation:0`: the name that its gateway has to hold."""
        return self._lane.lease

    @property
    def destination(self) -> str:
        """The name in the site's file."""
        return self._lane.name

    async def run(self) -> None:
        """Deliver what is due, then wait for more."""
        while True:
            try:
                wait_s = await self._deliver_next()
            except JournalError:
                log.exception("journal unavailable", retry_in_s=1.0)
                wait_s = 1.0
            except LeaseLost:
                log.warning("another gateway delivers there now", destination=self._lane.name, lease=self._lane.lease)
                wait_s = self._poll_s
            except Exception:  # whatever it is, the other destinations and the gateway go on (rule 4)
                log.exception("a courier tripped; it goes on", destination=self._lane.name, retry_in_s=TRIPPED_S)
                wait_s = TRIPPED_S
            if wait_s > 0:
                await self.alarm.wait(min(wait_s, self._poll_s))

    async def _deliver_next(self) -> float:
        """Send the next delivery; seconds until it makes sense to look again."""
        while self._doubtful:
            await self._journal.write(results.make_good, self._doubtful[0])
            self._doubtful.popleft()
        held = self._held()
        if held is None:
            return self._poll_s
        if self._lane.me and monotonic() >= self._orphans_at:
            self._orphans_at = monotonic() + POLL_S
            self._doubtful += await self._journal.read(
                partial(results.find_orphans, lane=self._lane, buckets=self._buckets)
            )
            if self._doubtful:
                return 0.0
        look = await self._journal.read(self._look)
        now = datetime.now(UTC)
        fresh = any(head and head.is_fresh for head in look.heads)
        wait_s = self._lane.breaker.wait_s(look.place.health, now, fresh=fresh)
        if look.place.is_paused or wait_s > 0:
            return wait_s or self._poll_s
        waits = [_wait_s(head, now) if head else None for head in look.heads]
        urgent, other = (
            deque([head] if head and wait == 0 else []) for head, wait in zip(look.heads, waits, strict=True)
        )
        delivery = self._turns.take(urgent, other)
        if delivery is None:
            return min((wait for wait in waits if wait is not None), default=self._poll_s)
        try:
            await self._deliver(delivery, held)
        except SealBroken as error:  # others have documents that can be opened
            log.error("delivery can't be opened", control_id=delivery.control_id, destination=delivery.destination)  # noqa: TRY400 - no traceback: the reason is in the journal
            await self._journal.write(results.end, self._result(delivery, held, DeliveryState.DEAD, str(error), None))
        return 0.0

    async def _deliver(self, delivery: Delivery, held: Mapping[str, int]) -> None:
        if delivery.broken:
            raise SealBroken(delivery.broken)
        payload = delivery.payload or await self._compose(delivery, held)
        if not payload:
            return
        with self._lane.holder.using([self._lane.lease]):
            has_begun = await self._send_and_note(Start(lane=self._lane, held=held, delivery=delivery, payload=payload))
        if has_begun and self._unreachable:
            await asyncio.sleep(min(KNOCK_S, results.backoff(self._unreachable - 1)))

    async def _send_and_note(self, start: Start) -> bool:
        """Whether a send began. Where its commits got no answer, either may stand: the next ones make that good."""
        result: Result | None = None
        is_sent, sent_at = False, datetime.now(UTC)
        try:
            if await self._journal.write(results.begin, start) is not Begun.YES:
                return False
            self._demand(start.held)
            is_sent = True
            result = await self._send(start.delivery, start.payload, start.held)
            await self._journal.write(results.end, replace(result, sent_at=sent_at))
        except (JournalError, LeaseLost) as error:
            is_lost = isinstance(error, LeaseLost) or not self._lane.holder.keeps(start.held)
            is_late = is_lost and is_sent and (result is None or result.heard is not Heard.NOBODY)
            self._doubtful.append(Doubt(delivery=start.delivery, sender=self._lane.me, mine=True, sent=is_late))
            raise
        return True

    def _demand(self, held: Mapping[str, int]) -> None:
        """Raise LeaseLost where another gateway may deliver there by now."""
        if not self._lane.holder.keeps(held):
            raise LeaseLost(_RAN_OUT)

    @asynccontextmanager
    async def _while_ours(self, held: Mapping[str, int]) -> AsyncIterator[None]:
        """Cut a send off, maybe still connecting, once another gateway may deliver there. Raises LeaseLost then.

        A timer and no task: when a process that stood still goes on, it comes before the next step of the send.
        """
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal timer
            if self._lane.holder.keeps(held):
                timer = loop.call_later(LEASE_LOOK_S, look)
            else:
                scope.reschedule(loop.time())

        timer = loop.call_later(LEASE_LOOK_S, look)
        try:
            async with asyncio.timeout(None) as scope:
                yield
        except TimeoutError:
            if scope.expired():
                raise LeaseLost(_RAN_OUT) from None
            raise
        finally:
            timer.cancel()

    def _held(self) -> Mapping[str, int] | None:
        """This connection's lease with its epoch; None while it is another gateway's."""
        kind = Kind(self._lane.lease.partition(":")[0])
        epoch = self._lane.holder.held(kind).get(self._lane.lease)
        return None if epoch is None else {self._lane.lease: epoch}

    def _look(self, conn: Connection) -> _Look:
        """The destination, and what is next to go there.

        In closed hours only what takes a draft back; behind a breaker what was never sent, where there is such.
        """
        closed = self._windows.wait_s(datetime.now(UTC)) > 0
        place = destinations.load(conn, self._lane.name)

        def heads(*, fresh_only: bool) -> list[Delivery | None]:
            return [
                deliveries.due(
                    conn,
                    self._lane.name,
                    urgent=urgent,
                    buckets=self._buckets,
                    withdrawals_only=closed,
                    fresh_only=fresh_only,
                )
                for urgent in (True, False)
            ]

        fresh: list[Delivery | None] = [] if place.health.open_until is None else heads(fresh_only=True)
        return _Look(place=place, heads=fresh if any(fresh) else heads(fresh_only=False))

    async def _compose(self, delivery: Delivery, held: Mapping[str, int]) -> bytes:
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
            await self._journal.write(results.end, self._result(delivery, held, DeliveryState.DEAD, answer, None))
            return b""

    async def _send(self, delivery: Delivery, payload: bytes, held: Mapping[str, int]) -> Result:
        try:
            with span(Name.DELIVER, delivery.trace, destination=delivery.destination, purpose=delivery.purpose):
                async with self._while_ours(held):
                    code = await self._sink.deliver(delivery.control_id, payload)
        except LeaseLost:
            raise
        except DeliveryRefused as error:
            result = self._result(delivery, held, DeliveryState.REFUSED, str(error), Heard.YES)
        except DeliveryMoot as error:
            result = self._result(delivery, held, DeliveryState.CANCELLED, str(error), Heard.NOBODY)
        except DeliveryFailed as error:
            result = self._weigh(delivery, held, error)
        except Exception as error:
            # A fault of ours in the midst of a send: whether the peer has it nobody knows.
            log.exception("a send tripped", destination=delivery.destination, control_id=delivery.control_id)
            failed = DeliveryFailed(delivery.destination, f"internal error ({type(error).__name__})", answered=False)
            result = self._weigh(delivery, held, failed)
        else:
            self._metrics.delivery_seconds.observe((datetime.now(UTC) - delivery.created_at).total_seconds())
            result = self._result(delivery, held, DeliveryState.CONFIRMED, code, Heard.YES)
        is_absent = result.heard is Heard.NOBODY and result.state is DeliveryState.PENDING
        self._unreachable = self._unreachable + 1 if is_absent else 0
        self._tell(result)
        return result

    def _weigh(self, delivery: Delivery, held: Mapping[str, int], error: DeliveryFailed) -> Result:
        """What a send without a yes comes to: only answers count against the message."""
        if not error.sent:  # the courier waits for an absent peer itself
            return self._result(delivery, held, DeliveryState.PENDING, str(error), Heard.NOBODY)
        heard = Heard.ERROR if error.answered else Heard.NOTHING
        tries = delivery.nacks + 1
        if error.answered and tries >= self._lane.max_attempts:
            gone = f"gave up after {tries} attempts: {error}"
            return self._result(delivery, held, DeliveryState.DEAD, gone, heard)
        wait_s = results.pause(error, delivery.attempts + 1)
        return self._result(delivery, held, DeliveryState.PENDING, str(error), heard, wait_s=wait_s)

    def _tell(self, result: Result) -> None:
        delivery = result.delivery
        self._metrics.deliveries.labels(delivery.destination, result.state).inc()
        if result.heard is Heard.NOTHING:
            self._metrics.unanswered(delivery.destination)
        if result.state not in (DeliveryState.CONFIRMED, DeliveryState.CANCELLED):
            log.warning(
                "delivery not confirmed",
                destination=delivery.destination,
                control_id=delivery.control_id,
                state=result.state,
                attempts=delivery.attempts + 1,
                reason=result.answer,
            )

    def _result(
        self,
        delivery: Delivery,
        held: Mapping[str, int],
        state: DeliveryState,
        answer: str,
        heard: Heard | None,
        *,
        wait_s: float = 0.0,
    ) -> Result:
        at = datetime.now(UTC) + timedelta(seconds=wait_s)
        return Result(lane=self._lane, held=held, delivery=delivery, state=state, answer=answer, at=at, heard=heard)


def _buckets_of(number: int, sessions: int) -> frozenset[int] | None:
    """Whose cases a connection carries; None: everybody's."""
    return None if sessions == 1 else frozenset(range(number, BUCKETS, sessions))


def _wait_s(delivery: Delivery, now: datetime) -> float:
    """Seconds until a delivery is due.

    It is due now where it was never tried, or has to wait longer than any pause lasts: then a clock was wrong.
    """
    wait_s = (delivery.next_at - now).total_seconds()
    return wait_s if delivery.attempts and 0 < wait_s <= results.LONGEST_PAUSE_S else 0.0
