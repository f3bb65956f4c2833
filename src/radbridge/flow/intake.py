"""The intake: commits what listeners hand over, then wakes the processor (rule 1)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from time import monotonic

from sqlalchemy import Connection

from radbridge.case import CaseKey
from radbridge.draft import DraftState, StoredDraft
from radbridge.flow.wake import Bell
from radbridge.journal import Journal, cases, drafts, messages
from radbridge.metrics import Metrics
from radbridge.wire import Desk, Item, Operation, Received, Rejected, Result, Store

BURST = 16
BURST_S = 0.2
"""So many messages within so many seconds are a burst: far above what a hospital sends, but not above a RIS that
catches up after an outage."""


class JournalIntake(Desk):
    """The `Desk` that wires get."""

    def __init__(self, journal: Journal, metrics: Metrics, on_accepted: Callable[[], None]) -> None:
        self.bell = Bell()
        """To be rung whenever there may be a new draft."""
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

    async def accept(self, received: Received) -> bytes:
        """Commit, then return the answer to send. Raises JournalError when nothing was committed."""
        accepted = await self._commit(messages.accept, received)
        self._metrics.messages.labels(received.wire, received.kind, "accepted" if accepted.new else "duplicate").inc()
        if accepted.new:
            self._on_accepted()
        return accepted.ack

    async def commit(self, operation: Operation[Item, Result], item: Item) -> Result:
        """Commit, then wake the processor. Raises JournalError when nothing was committed."""
        result = await self._commit(operation, item)
        self._on_accepted()
        return result

    async def _commit(self, operation: Operation[Item, Result], item: Item) -> Result:
        self._last.append(monotonic())
        with self._metrics.commit_seconds.time():
            return await self._journal.write_first(operation, item)

    async def reject(self, rejected: Rejected) -> None:
        """Commit a message that was not taken in, with its reason."""
        await self._journal.write_first(messages.reject, rejected)
        self._metrics.messages.labels(rejected.wire, "", f"rejected:{rejected.reason}").inc()

    def count(self, wire: str, kind: str, outcome: str) -> None:
        """Count a message that `commit` or the store took in."""
        self._metrics.messages.labels(wire, kind, outcome).inc()

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
