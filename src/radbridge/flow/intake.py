"""The intake: commits what listeners hand over, then wakes the processor (rule 1)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import Connection

from radbridge.case import CaseKey
from radbridge.draft import DraftState, StoredDraft
from radbridge.errors import JournalError
from radbridge.flow.holding import SoleHolder
from radbridge.flow.wake import Alarm, Bell
from radbridge.journal import Journal, cases, drafts, messages
from radbridge.journal.bells import LocalBells
from radbridge.journal.buckets import BUCKETS
from radbridge.journal.schema import MessageState
from radbridge.meter import WireMeter
from radbridge.metrics import Metrics
from radbridge.traces import Name, Span, begin, carried, span
from radbridge.wire import Accepted, Bells, Desk, Holder, Item, Operation, Received, Rejected, Result, Store

log = structlog.get_logger(__name__)

BURST = 16
BURST_S = 0.2
"""So many messages within so many seconds are a burst: far above what a hospital sends, but not above a RIS that
catches up after an outage."""


LOOK_S = 5.0
"""How often somebody who waits for a message's end looks without having heard a bell."""


def state_topic(message_id: int) -> str:
    """The bell of those who wait for a message's end."""
    return f"state:{message_id % BUCKETS}"


class JournalIntake(Desk):
    """The `Desk` that wires get."""

    def __init__(
        self,
        journal: Journal,
        metrics: Metrics,
        on_accepted: Callable[[], None],
        *,
        bells: Bells | None = None,
        holder: Holder | None = None,
    ) -> None:
        """`bells` and `holder` are those of a journal that nobody shares, unless given."""
        self.bell = Bell()
        """To be rung whenever there may be a new draft."""
        self._bells = LocalBells() if bells is None else bells
        self._holder = SoleHolder() if holder is None else holder
        self._journal = journal
        self._metrics = metrics
        self._on_accepted = on_accepted
        self._last = deque[float](maxlen=BURST)

    @property
    def is_pressed(self) -> bool:
        """Whether messages come in so fast that their ACKs need the processor's time."""
        return len(self._last) == BURST and monotonic() - self._last[0] < BURST_S

    @property
    def store(self) -> Store:
        """The journal's database."""
        return self._journal

    @property
    def bells(self) -> Bells:
        """What tells every gateway."""
        return self._bells

    @property
    def holder(self) -> Holder:
        """What this gateway may work on."""
        return self._holder

    @property
    def meter(self) -> WireMeter:
        """What counts."""
        return self._metrics

    def put(self, received: Received) -> asyncio.Future[Accepted]:
        """Have it committed; the future gets JournalError when nothing was. No task: it is the hot path."""
        traced = begin(Name.ACCEPT, received.trace)
        if traced.carried:
            received = replace(received, trace=carried(traced))
        began = monotonic()
        self._last.append(began)
        try:
            future = self._journal.put_first(messages.accept, received)
        except JournalError as error:  # it is closed
            future = asyncio.get_running_loop().create_future()
            future.set_exception(error)
        future.add_done_callback(partial(self._tell, received, began, traced))
        return future

    def _tell(self, received: Received, began: float, traced: Span, future: asyncio.Future[Accepted]) -> None:
        """The message was committed, or wasn't."""
        self._metrics.commit_seconds.observe(monotonic() - began)
        if future.cancelled() or (error := future.exception()) is not None:
            traced.end(failed="cancelled" if future.cancelled() else type(error).__name__)
            return
        traced.note(wire=received.wire)
        traced.end()
        accepted = future.result()
        is_new = accepted.new
        self._metrics.took_in(received.wire, received.kind, "accepted" if is_new else "duplicate")
        if is_new and accepted.reused:
            self._metrics.reused()
            log.warning("control id used before for another message", wire=received.wire, message_id=accepted.id)
        self._on_accepted()  # where its group failed behind the commit, a new one found itself and looks repeated

    async def accept(self, received: Received) -> bytes:
        """Commit, then return the answer to send. Raises JournalError when nothing was committed."""
        return (await self.put(received)).ack

    async def outcome_of(self, message_id: int, *, at_most_s: float) -> str | None:
        """How a message ended; None when it hasn't in time."""
        topic, end, alarm = state_topic(message_id), monotonic() + at_most_s, Alarm()

        def heard(_topic: str) -> None:
            alarm.ring()

        self._bells.on(topic, heard)
        try:
            while True:
                state = await self._journal.read(lambda conn: messages.state_of(conn, message_id))
                left_s = end - monotonic()
                if state is not MessageState.ACCEPTED or left_s <= 0:
                    return None if state in {None, MessageState.ACCEPTED} else str(state)
                await alarm.wait(min(left_s, LOOK_S))
        finally:
            self._bells.off(topic, heard)

    async def keep_reply(self, message_id: int, reply: bytes) -> bytes:
        """Keep what its sender is told about a message's end, unless something was kept; give what is."""
        return await self._journal.write_first(messages.keep_reply, (message_id, reply))

    async def commit(self, operation: Operation[Item, Result], item: Item) -> Result:
        """Commit, then wake the processor. Raises JournalError when nothing was committed."""
        result = await self._commit(operation, item)
        self._on_accepted()
        return result

    async def _commit(self, operation: Operation[Item, Result], item: Item) -> Result:
        self._last.append(monotonic())
        with self._metrics.commit_seconds.time(), span(Name.ACCEPT) if carried() else contextlib.nullcontext():
            return await self._journal.write_first(operation, item)

    async def reject(self, rejected: Rejected) -> None:
        """Commit a message that was not taken in, with its reason."""
        await self._journal.write_first(messages.reject, rejected)
        self._metrics.took_in(rejected.wire, "", f"rejected:{rejected.reason}")

    def count(self, wire: str, kind: str, outcome: str) -> None:
        """Count a message that `commit` or the store took in."""
        self._metrics.took_in(wire, kind, outcome)

    async def draft_of(self, key: CaseKey, findings_digest: str, *, at_most_s: float) -> StoredDraft | None:
        """The newest draft of exactly these findings, waited for; None when there is none in time."""
        end = monotonic() + at_most_s
        while True:
            ring = self.bell.next
            found = await self._journal.read(lambda conn: _find_draft(conn, key, findings_digest))
            left_s = end - monotonic()
            # One that was taken back may be made again: somebody who waits has gone back to an earlier text.
            if (found is not None and found.state is not DraftState.WITHDRAWN) or left_s <= 0:
                return found
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await ring.wait()


def _find_draft(conn: Connection, key: CaseKey, findings_digest: str) -> StoredDraft | None:
    """The case may be kept under a key that names another issuer than its asker does, or none."""
    case = cases.find(conn, key, "")
    found = drafts.of_case(conn, case.key) if case else []
    fitting = (d for d in reversed(found) if d.draft.findings_digest == findings_digest)
    return next((d for d in fitting if d.state is not DraftState.STALE), None)
