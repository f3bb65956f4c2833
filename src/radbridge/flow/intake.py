"""The intake: commits what listeners hand over, then wakes the processor (rule 1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

from radbridge.journal import Journal, messages
from radbridge.metrics import Metrics
from radbridge.wire import Received, Rejected

BURST = 16
BURST_S = 0.2
"""So many messages within so many seconds are a burst: far above what a hospital sends, but not above a RIS that
catches up after an outage."""


class JournalIntake:
    """The `Intake` that listeners get."""

    def __init__(self, journal: Journal, metrics: Metrics, on_accepted: Callable[[], None]) -> None:
        self._journal = journal
        self._metrics = metrics
        self._on_accepted = on_accepted
        self._last = deque[float](maxlen=BURST)

    @property
    def is_pressed(self) -> bool:
        """Whether messages come in so fast that their ACKs need the processor's time."""
        return len(self._last) == BURST and monotonic() - self._last[0] < BURST_S

    async def accept(self, received: Received) -> bytes:
        """Commit, then return the answer to send. Raises JournalError when nothing was committed."""
        self._last.append(monotonic())
        with self._metrics.commit_seconds.time():
            accepted = await self._journal.write_first(messages.accept, received)
        self._metrics.messages.labels(received.wire, received.kind, "accepted" if accepted.new else "duplicate").inc()
        if accepted.new:
            self._on_accepted()
        return accepted.ack

    async def reject(self, rejected: Rejected) -> None:
        """Commit a message that was not taken in, with its reason."""
        await self._journal.write_first(messages.reject, rejected)
        self._metrics.messages.labels(rejected.wire, "", f"rejected:{rejected.reason}").inc()
