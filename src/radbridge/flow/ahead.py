"""What a courier composes before its turn has come: read and written down while a send waits for its answer.

It is a guess. Whether its turn has come, and whether its case is still as it was, is looked at when it begins.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from time import monotonic

from radbridge.errors import JournalError
from radbridge.flow.lane import Lane
from radbridge.flow.results import Ready
from radbridge.flow.wake import Alarm
from radbridge.journal import Journal
from radbridge.journal.heads import Coming, Head
from radbridge.journal.schema import Purpose
from radbridge.wire import Sink

AT_ONCE = 8
"""Deliveries that are read ahead."""
LOW = 3
"""So few left: more are read."""
PATIENCE_S = 1.0
"""A composer that needs longer isn't waited for: first the end of the last send is noted."""


class Ahead:
    """Has the next deliveries composed, one by one."""

    def __init__(self, journal: Journal, sink: Sink, lane: Lane) -> None:
        self._journal = journal
        self._sink = sink
        self._lane = lane
        self._coming: deque[Coming] = deque()
        self._ready: deque[Ready] = deque()
        self._has_more = False
        """Whether there was more than was read."""
        self._taken: set[str] = set()
        """Since what is read now was asked for."""
        self._task: asyncio.Task[None] | None = None
        self._more = Alarm()

    @property
    def known(self) -> frozenset[str]:
        """The control ids of what is read or composed."""
        found = [coming.delivery for coming in self._coming] + [ready.delivery for ready in self._ready]
        return frozenset(delivery.control_id for delivery in found)

    def expect(self, coming: Sequence[Coming]) -> None:
        """This is what comes, and nothing that was thought before."""
        self.stop()
        self._ready.clear()
        self._taken.clear()
        self._keep(coming)

    async def take(self, head: Head) -> Ready | None:
        """The head of a line, composed; None where it isn't known, or its case isn't what it was, or it can't be."""
        for ready in tuple(self._ready):
            if ready.delivery.control_id == head.delivery.control_id:
                self._ready.remove(ready)
                return ready if ready.saved_at == head.saved_at else None
        for coming in tuple(self._coming):
            if coming.delivery.control_id == head.delivery.control_id:
                self._coming.remove(coming)
                return await self._compose(coming) if coming.saved_at == head.saved_at else None
        return None

    def start(self, *, closed: bool) -> None:
        """Compose what is known, and read more where little is left. `closed`: only what takes a draft back goes."""
        is_low = self._has_more and len(self._ready) < LOW
        if (self._coming or is_low) and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work(closed=closed))

    async def next(self) -> Ready | None:
        """The next one; None where there is none, or none in time."""
        end = monotonic() + PATIENCE_S
        while not self._ready and self._task is not None and not self._task.done() and (left := end - monotonic()) > 0:
            await self._more.wait(left)
        if not self._ready:
            return None
        ready = self._ready.popleft()
        self._taken.add(ready.delivery.control_id)
        return ready

    def stop(self) -> None:
        """Compose nothing more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _work(self, *, closed: bool) -> None:
        try:
            if not self._coming:
                self._taken.clear()
                self._keep(await self._journal.read(partial(self._lane.coming, closed=closed, at_most=AT_ONCE)))
            while self._coming:
                if (ready := await self._compose(self._coming.popleft())) is not None:
                    self._ready.append(ready)
                self._more.ring()
        except JournalError:
            self._has_more = False  # who writes next is told so
        finally:
            self._more.ring()

    def _keep(self, coming: Sequence[Coming]) -> None:
        known = self._taken | {ready.delivery.control_id for ready in self._ready}
        self._coming = deque(one for one in coming if one.delivery.control_id not in known)
        self._has_more = len(coming) >= AT_ONCE

    async def _compose(self, coming: Coming) -> Ready | None:
        delivery = coming.delivery
        compose = self._sink.compose if delivery.purpose is Purpose.DRAFT else self._sink.compose_withdrawal
        try:
            payload = await asyncio.to_thread(compose, coming.case, coming.draft, delivery.control_id)
        except Exception:  # noqa: BLE001 - it is composed again once its turn has come, and what is wrong is told then
            return None
        return Ready(delivery=delivery, payload=payload, saved_at=coming.saved_at)
