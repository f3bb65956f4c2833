"""The processor: journaled messages become changes of cases and what follows from them.

All effects of a message and its mark as done are one transaction, so a crash repeats nothing and loses nothing.
Messages of one case are applied in order of arrival, and so is whatever changes several cases
(`radbridge.flow.ordering`); of the rest, urgent ones go first. A message that trips a fault of ours is tried again,
while its case waits behind it, and set aside when that doesn't help.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import partial
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import Connection

from radbridge.config.store import Flow
from radbridge.errors import JournalError, LeaseLost, MessageFault, SealBroken
from radbridge.events import CaseEvent, Event
from radbridge.flow.applying import Applier, Share, Step, Translate, is_theirs
from radbridge.flow.holding import SoleHolder, buckets_of, cases_lease
from radbridge.flow.ordering import Slip, make_lanes, make_slip, order_lanes
from radbridge.flow.wake import Alarm
from radbridge.journal import Journal, cases, messages, queue
from radbridge.journal.schema import MessageState
from radbridge.metrics import Metrics
from radbridge.wire import Holder, Kind

log = structlog.get_logger(__name__)

BATCH = 64
"""Messages that are read at once, of the urgent ones and of the others each."""
PRESSED_BATCH = 4
PRESSED_PAUSE_S = 0.05
"""Between two messages while acknowledging needs the time: applying takes a tenth of it then."""
BLOCKED_S = 0.05
"""Until it is looked again whether another gateway has applied what must go first."""
LARGE = 64 * 1024
"""Bytes from which on a message is read off the event loop: below, it takes a few milliseconds."""
OUTAGE_S = 1.0
"""Before a journal that can't commit is tried again."""
FIRST_AGAIN_S = 1.0
LONGER = 4
"""How long a message rests after its first try that tripped a fault of ours, and how much longer after each other."""


class End(Enum):
    """What a try of a message came to."""

    APPLIED = auto()
    """Or failed for good."""
    TO_REST = auto()
    """It is to be tried again in a while."""
    BLOCKED = auto()
    """Something has to go before it."""
    LOST = auto()
    """It is another gateway's."""


class Processor:
    """Applies messages until stopped."""

    def __init__(
        self,
        journal: Journal,
        translators: Mapping[str, Translate],
        *,
        settle_s: float,
        metrics: Metrics,
        on_change: Callable[[], None],
        on_signer: Callable[[str], None] = lambda _: None,
        on_end: Callable[[int], None] = lambda _: None,
        is_pressed: Callable[[], bool] = lambda: False,
        remembers: bool = True,
        drafts: bool = True,
        rules: Flow | None = None,
        holder: Holder | None = None,
        pop_orphans: Callable[[], frozenset[str]] | None = None,
        poll_s: float | None = None,
    ) -> None:
        """`on_signer` gets the id of a radiologist when an open case is first known to be theirs to sign, or opened.

        `on_end` gets the id of a message whose sender waits to hear what became of it. `is_pressed` says when
        acknowledging needs the time: then messages are applied slowly, but applied. `remembers` says whether what is
        signed becomes an example of its signer's style, `drafts` whether drafts are asked for: of what was long signed
        none is wanted. `holder` says whose messages are this gateway's, and `pop_orphans` which of them another
        gateway died over. Every `poll_s` it looks without having been told.
        """
        self.alarm = Alarm()
        self._journal = journal
        self._translators = translators
        self._metrics = metrics
        self._on_change = on_change
        self._on_signer = on_signer
        self._on_end = on_end
        self._is_pressed = is_pressed
        self._rules = rules or Flow()
        self._holder = holder or SoleHolder()
        self._pop_orphans = pop_orphans
        self._poll_s = poll_s
        self._is_first = True
        self._suspects = frozenset[int]()
        """Buckets that have to be probed again: the journal failed meanwhile."""
        self._noted = set[int]()
        """Messages whose try was noted for such a probe: a gateway ends no more than once."""
        self._untold: dict[int, Step] = {}
        """Messages whose write met a journal that failed: it may be committed all the same."""
        self._told: dict[int, Step] = {}
        """Read before, and still waiting."""
        self._applier = Applier(
            holder=self._holder, settle_s=settle_s, metrics=metrics, remembers=remembers, drafts=drafts
        )

    def apply_now(self, conn: Connection, steps: Sequence[Step]) -> None:
        """Apply messages in the very transaction that stores them: nobody else ever sees them waiting."""
        self._applier.apply(conn, steps)

    async def run(self) -> None:
        """Apply what waits, then wait for more; a journal that can't commit is tried again, never given up."""
        while True:
            wait_s: float | None = 0
            try:
                wait_s = await self._round()
            except JournalError:
                log.exception("journal unavailable", retry_in_s=OUTAGE_S)
                await asyncio.sleep(OUTAGE_S)
            if wait_s != 0:
                await self.alarm.wait(wait_s)

    async def _round(self) -> float | None:
        """Apply a batch; seconds until it makes sense to look again, None: when there is something new."""
        if suspects := self._find_suspects():
            self._suspects = suspects
            await self._probe(suspects)
            self._suspects = frozenset()
            self._noted.clear()
        await self._tell_untold()
        buckets = buckets_of(self._holder)
        steps = await self._read(buckets, PRESSED_BATCH if self._is_pressed() else BATCH) if buckets else []
        if not steps:
            return self._poll_s
        now = datetime.now(UTC)
        resting: list[float] = []
        trying: list[Coroutine[Any, Any, End]] = []
        for lane in self._arrange(steps):
            for step in lane:
                if (rest_s := self._rest_s(step, now)) > 0:
                    resting.append(rest_s)
                    break  # and what is behind it in its lane
                trying.append(self._handle(step))
        # Each to its end, also where another one's fails: what was committed is told to whoever waits for it.
        found = await asyncio.gather(*trying, return_exceptions=True)
        self._on_change()
        if errors := [end for end in found if isinstance(end, BaseException)]:
            raise next((error for error in errors if not isinstance(error, JournalError)), errors[0])
        ends = {end for end in found if isinstance(end, End)}
        if ends & {End.APPLIED, End.TO_REST}:
            return 0
        waits = (*resting, *[BLOCKED_S] * bool(ends), *filter(None, [self._poll_s]))
        return min(waits, default=None)

    async def _tell_untold(self) -> None:
        """What was committed though the journal failed: whoever waits for its end, or may soon sign, is told of."""
        if not self._untold:
            return
        steps, signers = await self._journal.read(partial(_find_committed, steps=tuple(self._untold.values())))
        self._untold.clear()
        for radiologist in signers:
            self._on_signer(radiologist)
        for step in steps:
            if step.message.reply_to:
                self._on_end(step.message.id)

    def _rest_s(self, step: Step, now: datetime) -> float:
        """Seconds until a message may be tried again; a rest longer than any was noted by a clock that was ahead."""
        if step.message.not_before is None:
            return 0.0
        rest_s = (step.message.not_before - now).total_seconds()
        return rest_s if rest_s <= self._rules.poison_hold_s else 0.0

    async def _read(self, buckets: frozenset[int], at_most: int) -> list[Step]:
        """What waits, with the facts that it tells."""
        leases = self._holder.held(Kind.CASES)
        if not self._holder.is_sole:  # what was given away in this moment may have to go first, elsewhere
            buckets = frozenset(bucket for bucket in buckets if cases_lease(bucket) in leases)
        batch = await self._journal.read(partial(queue.read_batch, buckets=buckets, at_most=at_most))
        steps: dict[int, Step] = {}
        for message in batch:
            name = cases_lease(message.bucket)
            step = self._told.get(message.id)
            # A database that was put back to an earlier moment gives a number again, to another message.
            if step is None or (step.message.wire, step.message.raw) != (message.wire, message.raw):
                if self._is_pressed():
                    await asyncio.sleep(PRESSED_PAUSE_S)
                # A large message is read in a thread; either way a listener may answer between two messages.
                apart = asyncio.to_thread if len(message.raw) > LARGE else _at_once
                step = await apart(self._translate, message)
            share = Share(leases={} if self._holder.is_sole else {name: leases[name]}, buckets=buckets)
            steps[message.id] = replace(step, message=message, share=share)
        self._told = steps
        return list(steps.values())

    def _arrange(self, steps: Sequence[Step]) -> list[list[Step]]:
        """Lanes in their turns."""
        by_id = {step.message.id: step for step in steps}
        lanes = make_lanes([step.slip for step in steps if step.slip is not None])
        arranged = []
        for lane in order_lanes(lanes, ahead=timedelta(seconds=self._rules.urgent_ahead_s)):
            ids = tuple(slip.id for slip in lane.slips)
            arranged.append([replace(by_id[id], after=ids[:n]) for n, id in enumerate(ids)])
        return arranged

    async def _handle(self, step: Step) -> End:
        """Apply one message. One that trips a fault of ours must not stop those of other cases."""
        if step.message.broken and not step.fault:
            log.error("message can't be opened", message_id=step.message.id, kind=step.message.kind)
            return await self._set_back(step, step.message.broken)
        try:
            signers = await self._journal.write(self._applier.apply, step)
        except LeaseLost:
            log.info("message left to another gateway", message_id=step.message.id, bucket=step.message.bucket)
            return End.LOST
        except JournalError:
            self._untold[step.message.id] = step
            raise
        except Exception as error:
            log.exception("message can't be applied", message_id=step.message.id, kind=step.message.kind)
            return await self._set_back(step, f"internal error ({type(error).__name__})")
        if signers is None:
            return End.BLOCKED
        for radiologist in signers:
            self._on_signer(radiologist)
        if step.fault:
            self._tell_failed(step)
        if step.message.reply_to:
            self._on_end(step.message.id)
        return End.APPLIED

    async def _set_back(self, step: Step, fault: str) -> End:
        """Count a try; the last one sets the message aside, and its lane goes on."""
        tries = step.message.tries + 1
        rest_s = FIRST_AGAIN_S * LONGER ** (tries - 1)
        held_s = FIRST_AGAIN_S * (LONGER**tries - 1) / (LONGER - 1)
        if tries >= self._rules.poison_tries or held_s > self._rules.poison_hold_s:
            return await self._set_aside(step, fault)
        try:
            await self._journal.write(self._note_try, (step, datetime.now(UTC) + timedelta(seconds=rest_s)))
        except LeaseLost:
            return End.LOST
        return End.TO_REST

    async def _set_aside(self, step: Step, fault: str) -> End:
        """Quarantine a message."""
        return await self._handle(replace(step, facts=(), fault=fault, state=MessageState.QUARANTINED, after=()))

    def _note_try(self, conn: Connection, items: Sequence[tuple[Step, datetime | None]]) -> list[None]:
        for step, not_before in items:
            self._holder.fence(conn, step.share.leases)
            queue.note_try(conn, step.message.id, tries=step.message.tries + 1, not_before=not_before)
        return [None] * len(items)

    def _tell_failed(self, step: Step) -> None:
        if step.state is MessageState.QUARANTINED:
            self._metrics.quarantined.inc()
        else:
            self._metrics.failed_messages.inc()
        log.warning("message failed", message_id=step.message.id, kind=step.message.kind, reason=step.fault)

    def _find_suspects(self) -> frozenset[int]:
        """The buckets of which a message may have killed a gateway: this one's last run, or another."""
        if self._pop_orphans is None:
            first, self._is_first = self._is_first, False
            return self._suspects | (buckets_of(self._holder) if first else frozenset())
        orphans = (name for name in self._pop_orphans() if name.startswith(Kind.CASES))
        return self._suspects | frozenset(int(name.partition(":")[2]) for name in orphans)

    async def _probe(self, buckets: frozenset[int]) -> None:
        """Try the first messages one by one, each with its try noted before: one that kills gateways is found."""
        for lane in self._arrange(await self._read(buckets, BATCH)):
            for step in lane:
                if self._rest_s(step, datetime.now(UTC)) > 0:
                    break
                if step.message.id in self._noted:
                    end = await self._handle(step)
                elif step.message.tries >= self._rules.poison_tries:
                    end = await self._set_aside(step, "gateways ended while they applied it")
                else:
                    self._noted.add(step.message.id)
                    try:
                        await self._journal.write(self._note_try, (step, None))
                    except LeaseLost:
                        break
                    end = await self._handle(step)
                if end is not End.APPLIED:
                    break
        self._on_change()

    def _translate(self, message: messages.Waiting) -> Step:
        try:
            return self._read_facts(message)
        except MessageFault as fault:
            return _failed(message, f"{fault.reason}: {fault}")
        except Exception as error:
            log.exception("message can't be translated", message_id=message.id, kind=message.kind)
            return _failed(message, f"internal error ({type(error).__name__})", MessageState.QUARANTINED)

    def _read_facts(self, message: messages.Waiting) -> Step:
        if message.broken:
            return Step(message=message, facts=(), slip=_slip_of(message, ()))
        translate = self._translators.get(message.wire)
        if translate is None:
            return _failed(message, f"no wire named {message.wire!r} is installed")
        facts = translate(message.raw)
        return Step(message=message, facts=facts, slip=_slip_of(message, facts))


def _find_committed(conn: Connection, steps: Sequence[Step]) -> tuple[list[Step], list[str]]:
    """Those that wait no more, and who is to sign what they are about."""
    waiting = queue.find_waiting(conn, {step.message.id for step in steps})
    over = [step for step in steps if step.message.id not in waiting]
    signers = []
    for fact in (fact for step in over for fact in step.facts if isinstance(fact, CaseEvent)):
        with suppress(SealBroken, ValidationError):  # a case that can't be read costs a hint, not all that waits
            if is_theirs(case := cases.find(conn, fact.key, fact.patient.id)):
                signers.append(case.signer.id)
    return over, list(dict.fromkeys(signers))


def _failed(message: messages.Waiting, fault: str, state: MessageState = MessageState.FAILED) -> Step:
    return Step(message=message, facts=(), fault=fault, state=state, slip=_slip_of(message, ()))


def _slip_of(message: messages.Waiting, facts: Sequence[Event]) -> Slip:
    return make_slip(
        id=message.id,
        since=message.received_at,
        urgent=message.urgent,
        accession=message.accession,
        touches=message.touches,
        facts=facts,
    )


async def _at_once(translate: Callable[[messages.Waiting], Step], message: messages.Waiting) -> Step:
    await asyncio.sleep(0)
    return translate(message)
