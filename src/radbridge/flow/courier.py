"""A courier: delivers to one destination over one connection, a case's messages in order, until cancelled.

A destination has as many couriers as `sessions` says. A case's messages always take the same one, by the case's
bucket, and in a cluster one gateway has that courier's lease: so there is one connection at a time for each.

What is urgent goes first (`radbridge.flow.turns`). What takes a draft back goes in closed hours too (rule 3).

As long as the peer says yes, the end of one send and the begin of the next are one commit (`radbridge.flow.results`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import Connection

from radbridge.config.delivery import Delivery as Rules
from radbridge.errors import (
    DeliveryFailed,
    DeliveryMoot,
    DeliveryRefused,
    JournalError,
    JournalLost,
    LeaseLost,
    RadBridgeError,
    SealBroken,
)
from radbridge.flow import doubts, results
from radbridge.flow.ahead import AT_ONCE, Ahead
from radbridge.flow.doubts import Doubt
from radbridge.flow.holding import SoleHolder
from radbridge.flow.lane import Lane, wait_s
from radbridge.flow.results import Heard, Ready, Result, Sending, Step
from radbridge.flow.turns import AHEAD
from radbridge.flow.wake import Alarm
from radbridge.flow.windows import Windows
from radbridge.journal import Journal, cases, drafts
from radbridge.journal.deliveries import Delivery
from radbridge.journal.heads import Coming, Head, Look, Share
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
AGAIN_S = 0.05
"""A case that is saved, and saved again, while its message is composed has others get their turn at the processor."""
LEAVE_S = 2.0
"""For what is in doubt when the gateway ends."""
_DEFAULTS = Rules()
_RAN_OUT = "the lease ran out before the send was over"


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
            share=Share(number, rules.sessions),
            me=me,
            ahead=ahead,
        )
        self._ahead = Ahead(journal, sink, self._lane)
        self._windows = Windows(rules.window, rules.timezone)
        self._poll_s = poll_s
        self._unreachable = 0
        self._doubtful: deque[Doubt] = deque()
        self._heard: tuple[Mapping[str, int], Result] | None = None
        """A yes, and the lease it came under, that may not be noted: the commit got no answer."""
        self._refused = ""
        """The control id of what was to begin last and couldn't."""
        self._orphans_at = monotonic()
        """When to look next for what gateways that ended had begun to send."""

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
        try:
            while True:
                left_s = await self._try_next()
                if left_s > 0:
                    self._ahead.forget()
                    await self.alarm.wait(min(left_s, self._poll_s))
        except asyncio.CancelledError:
            # Of the others one may be made good just now, and twice would be once too often.
            self._doubtful = deque(doubt for doubt in self._doubtful if not doubt.left)
            with suppress(RadBridgeError, TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await self._settle_doubts()
            raise
        finally:
            self._ahead.forget()

    async def _try_next(self) -> float:
        """Deliver, whatever happens; seconds until it makes sense to look again."""
        try:
            return await self._deliver_next()
        except JournalError:
            log.exception("journal unavailable", retry_in_s=1.0)
            return 1.0
        except LeaseLost:
            log.warning("another gateway delivers there now", destination=self._lane.name, lease=self._lane.lease)
            return self._poll_s
        except Exception:  # whatever it is, the other destinations and the gateway go on (rule 4)
            log.exception("a courier tripped; it goes on", destination=self._lane.name, retry_in_s=TRIPPED_S)
            return TRIPPED_S

    async def _deliver_next(self) -> float:
        """Send what is next, and what follows; seconds until it makes sense to look again."""
        await self._settle_doubts()
        held = self._held()
        if held is None:
            return self._poll_s
        if self._looks_for_orphans():
            self._orphans_at = monotonic() + POLL_S
            self._doubtful += await self._journal.read(partial(doubts.find_orphans, lane=self._lane))
            if self._doubtful:
                return 0.0
        look, coming = await self._journal.read(partial(self._look, self._ahead.known))
        now = datetime.now(UTC)
        fresh = any(head.delivery.is_fresh for head in look.heads)
        left_s = self._lane.breaker.wait_s(look.place.health, now, fresh=fresh)
        if look.place.is_paused or left_s > 0:
            return left_s or self._poll_s
        head = self._lane.choose(look, now)
        if head is None:
            return min((wait_s(head.delivery, now) for head in look.heads), default=self._poll_s)
        if coming is not None:
            self._ahead.expect(coming)
        return await self._deliver(head, held)

    async def _settle_doubts(self) -> None:
        while self._doubtful:
            await self._journal.write(doubts.make_good, self._doubtful[0])
            self._doubtful.popleft()
        if self._heard is not None:
            (held, result), self._heard = self._heard, None
            await self._step(held, result)

    async def _deliver(self, head: Head, held: Mapping[str, int]) -> float:
        delivery = head.delivery
        try:
            ready = await self._prepare(head, held)
        except SealBroken as error:  # others have documents that can be opened
            log.error("delivery can't be opened", control_id=delivery.control_id, destination=delivery.destination)  # noqa: TRY400 - no traceback: the reason is in the journal
            await self._step(held, results.result_of(delivery, DeliveryState.DEAD, str(error), None))
            return 0.0
        if ready is None:
            return 0.0
        with self._lane.holder.using([self._lane.lease]):
            has_begun = await self._send_in_turn(ready, held)
        if has_begun and self._unreachable:
            await asyncio.sleep(min(KNOCK_S, results.backoff(self._unreachable - 1)))
        again, self._refused = self._refused, "" if has_begun else delivery.control_id
        return AGAIN_S if again and again == self._refused else 0.0

    async def _send_in_turn(self, ready: Ready, held: Mapping[str, int]) -> bool:
        """Send this one, and those behind it as long as the peer says yes. Whether a send began."""
        sending = await self._step(held, ready=ready)
        has_begun = sending is not None
        while sending is not None:
            self._ahead.start(closed=self._is_closed)
            result = await self._send_begun(sending, held)
            goes_on = result.heard is Heard.YES and self._held() == held and not self._looks_for_orphans()
            guess = None
            if goes_on:
                self._heard = held, result  # a gateway that ends just now notes it
                guess = await self._ahead.next()
                self._heard = None
            sending = await self._step(held, result, guess)
            if sending is None and guess is not None:
                self._ahead.put_back(guess)
        return has_begun

    async def _step(
        self, held: Mapping[str, int], result: Result | None = None, ready: Ready | None = None
    ) -> Sending | None:
        """Note what the last send came to and that the next one begins.

        Where that gets no answer, either may stand: a yes is noted again, the rest made good. A fault in the begin of
        the next one leaves the last one noted: else it would be sent again and again.
        """
        step = Step(lane=self._lane, held=held, result=result, ready=ready, closed=self._is_closed)
        try:
            return await self._journal.write(results.step, step)
        except (Exception, asyncio.CancelledError) as error:  # cancelled: the gateway ends, and the write goes on
            if ready is not None:
                self._doubt(ready.delivery, is_late=False, left=False)
                if result is not None and not isinstance(error, JournalLost | LeaseLost | asyncio.CancelledError):
                    await self._step(held, result)
                    raise
            if result is not None and isinstance(error, JournalError | LeaseLost):
                is_lost = isinstance(error, LeaseLost) or not self._lane.holder.keeps(held)
                if isinstance(error, JournalLost) and result.heard is Heard.YES:  # the fence says if it may be noted
                    self._heard = held, result
                else:
                    self._doubt(result.delivery, is_late=is_lost and result.heard not in (None, Heard.NOBODY))
            raise

    def _doubt(self, delivery: Delivery, *, is_late: bool, left: bool = True) -> None:
        """Its end isn't noted; `is_late`: it may have arrived while another gateway had the lease."""
        self._doubtful.append(Doubt(delivery=delivery, sender=self._lane.me, mine=True, sent=is_late, left=left))

    async def _send_begun(self, sending: Sending, held: Mapping[str, int]) -> Result:
        is_sent = False
        try:
            self._demand(held)
            is_sent = True
            return await self._send(sending, held)
        except LeaseLost:
            self._doubt(sending.delivery, is_late=is_sent, left=is_sent)
            raise

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

    def _looks_for_orphans(self) -> bool:
        """Whether it is time to look for what gateways that ended had begun to send."""
        return bool(self._lane.me) and monotonic() >= self._orphans_at

    @property
    def _is_closed(self) -> bool:
        return self._windows.wait_s(datetime.now(UTC)) > 0

    def _look(self, known: Collection[str], conn: Connection) -> tuple[Look, Sequence[Coming] | None]:
        """What is next, and where that has to be composed and isn't `known` yet, what follows."""
        closed = self._is_closed
        look = self._lane.look(conn, closed=closed)
        head = self._lane.choose(look, datetime.now(UTC))
        if head is None or head.delivery.payload or head.delivery.broken or head.delivery.control_id in known:
            return look, None
        return look, self._lane.coming(conn, closed=closed, at_most=AT_ONCE)

    async def _prepare(self, head: Head, held: Mapping[str, int]) -> Ready | None:
        """What is to be sent. None where that can't be composed. Raises SealBroken."""
        delivery = head.delivery
        if delivery.broken:
            raise SealBroken(delivery.broken)
        if delivery.payload:
            return Ready(delivery=delivery, payload=delivery.payload)
        if (ready := await self._ahead.take(head)) is not None:
            return ready
        payload = await self._compose(delivery, held)
        return Ready(delivery=delivery, payload=payload, saved_at=head.saved_at) if payload else None

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
            await self._step(held, results.result_of(delivery, DeliveryState.DEAD, answer, None))
            return b""

    async def _send(self, sending: Sending, held: Mapping[str, int]) -> Result:
        delivery = sending.delivery
        try:
            with span(Name.DELIVER, delivery.trace, destination=delivery.destination, purpose=delivery.purpose):
                async with self._while_ours(held):
                    code = await self._sink.deliver(delivery.control_id, sending.payload)
        except LeaseLost:
            raise
        except DeliveryRefused as error:
            result = results.result_of(delivery, DeliveryState.REFUSED, str(error), Heard.YES)
        except DeliveryMoot as error:
            result = results.result_of(delivery, DeliveryState.CANCELLED, str(error), Heard.NOBODY)
        except DeliveryFailed as error:
            result = results.weigh(self._lane, delivery, error)
        except Exception as error:
            # A fault of ours in the midst of a send: whether the peer has it nobody knows.
            log.exception("a send tripped", destination=delivery.destination, control_id=delivery.control_id)
            failed = DeliveryFailed(delivery.destination, f"internal error ({type(error).__name__})", answered=False)
            result = results.weigh(self._lane, delivery, failed)
        else:
            self._metrics.delivery_seconds.observe((datetime.now(UTC) - delivery.created_at).total_seconds())
            result = results.result_of(delivery, DeliveryState.CONFIRMED, code, Heard.YES)
        is_absent = result.heard is Heard.NOBODY and result.state is DeliveryState.PENDING
        self._unreachable = self._unreachable + 1 if is_absent else 0
        self._tell(result)
        return replace(result, sent_at=sending.at)

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
