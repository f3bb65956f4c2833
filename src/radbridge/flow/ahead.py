"""What a courier composes before its turn has come: read and written down while a send waits for its answer.

It is a guess. Whether its turn has come, and whether its case is still as it was, is looked at when it begins. It
doesn't grow old: a message says when it was composed, and some show more than their case.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from time import monotonic

import structlog

from radbridge.errors import JournalError
from radbridge.flow.lane import Lane
from radbridge.flow.results import Ready
from radbridge.flow.wake import Alarm
from radbridge.journal import Journal
from radbridge.journal.heads import Coming, Head
from radbridge.journal.schema import Purpose
from radbridge.wire import Sink

log = structlog.get_logger(__name__)

AT_ONCE = 8
"""Deliveries that are read ahead."""
LOW = 3
"""So few left: more are read."""
PATIENCE_S = 0.05
"""A composer that needs longer isn't waited for: a yes that isn't noted yet is sent again behind a crash."""
KEPT_S = 5.0
"""What was read or composed so long ago is forgotten."""


class Ahead:
    """Has the next deliveries composed, one by one."""

    def __init__(self, journal: Journal, sink: Sink, lane: Lane) -> None:
        self._journal = journal
        self._sink = sink
        self._lane = lane
        self._coming: deque[Coming] = deque()
        self._now: Coming | None = None
        """What is being composed."""
        self._ready: deque[Ready] = deque()
        self._spare: dict[tuple[str, datetime | None], Ready] = {}
        """Composed before it was known what goes before it."""
        self._refused: Ready | None = None
        """What was put back last."""
        self._has_more = False
        """Whether there was more than was read."""
        self._taken: set[str] = set()
        """Since what is read now was asked for."""
        self._task: asyncio.Task[None] | None = None
        self._more = Alarm()

    @property
    def known(self) -> frozenset[str]:
        """The control ids of what is read or composed."""
        found: list[Coming | Ready] = [*self._coming, *self._ready, *([self._now] if self._now else [])]
        return frozenset(one.delivery.control_id for one in found)

    def expect(self, coming: Sequence[Coming]) -> None:
        """This is what comes, in this order. What is composed of it, or just now, isn't composed again."""
        if self._now is None:
            self._stop()
        self._spare = {_key(ready): ready for ready in self._ready}
        self._ready.clear()
        self._taken.clear()
        self._keep(coming)

    async def take(self, head: Head) -> Ready | None:
        """The head of a line, composed; None where it isn't known, or its case isn't what it was, or it can't be."""
        key = _key(head)
        while self._now is not None and _key(self._now) == key:
            await self._more.wait()
        ready = next((one for one in self._young() if _key(one) == key), None)
        coming = next((one for one in self._coming if _key(one) == key), None)
        id = head.delivery.control_id
        self._ready = deque(one for one in self._ready if one.delivery.control_id != id)
        self._coming = deque(one for one in self._coming if one.delivery.control_id != id)
        self._taken.add(id)
        return await self._compose(coming) if ready is None and coming is not None else ready

    def put_back(self, ready: Ready) -> None:
        """It was given as the next one and wasn't; once, for it may have been cancelled."""
        if self._refused is not ready:
            self._refused = ready
            self._ready.appendleft(ready)

    def start(self, *, closed: bool) -> None:
        """Compose what is known, and read more where little is left. `closed`: only what takes a draft back goes."""
        is_low = self._has_more and len(self._young()) < LOW
        if (self._coming or is_low) and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work(closed=closed))

    async def next(self) -> Ready | None:
        """The next one; None where there is none, or none in time."""
        end = monotonic() + PATIENCE_S
        while (
            not self._young() and self._task is not None and not self._task.done() and (left := end - monotonic()) > 0
        ):
            await self._more.wait(left)
        if not self._young():
            return None
        ready = self._ready.popleft()
        self._taken.add(ready.delivery.control_id)
        return ready

    def forget(self) -> None:
        """Compose nothing more, and keep nothing: it may be long until the next send."""
        self._stop()
        self._coming.clear()
        self._ready.clear()
        self._spare.clear()
        self._refused = None
        self._has_more = False

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _young(self) -> deque[Ready]:
        """What is composed; what is too old, or too long known, is forgotten."""
        since = monotonic() - KEPT_S
        self._ready = deque(one for one in self._ready if one.at > since)
        self._coming = deque(one for one in self._coming if one.at > since)
        return self._ready

    async def _work(self, *, closed: bool) -> None:
        try:
            if not self._coming:
                self._taken.clear()
                self._keep(await self._journal.read(partial(self._lane.coming, closed=closed, at_most=AT_ONCE)))
            while self._coming:
                self._now = self._coming.popleft()
                ready, self._now = await self._compose(self._now), None
                if ready is not None and ready.delivery.control_id not in self._taken:
                    self._ready.append(ready)
                self._more.ring()
            self._spare.clear()
        except JournalError:
            self._has_more = False  # who writes next is told so
        except Exception as error:  # noqa: BLE001 - a row that can't be read is told of once its turn has come
            log.warning("what comes next can't be read", destination=self._lane.name, reason=type(error).__name__)
            self._has_more = False
        finally:
            self._now = None
            self._more.ring()

    def _keep(self, coming: Sequence[Coming]) -> None:
        known = self._taken | {ready.delivery.control_id for ready in self._ready}
        now = None if self._now is None else _key(self._now)
        self._coming = deque(one for one in coming if one.delivery.control_id not in known and _key(one) != now)
        self._has_more = len(coming) >= AT_ONCE

    async def _compose(self, coming: Coming) -> Ready | None:
        spare = self._spare.pop(_key(coming), None)
        if spare is not None and monotonic() - spare.at < KEPT_S:
            return spare
        delivery = coming.delivery
        compose = self._sink.compose if delivery.purpose is Purpose.DRAFT else self._sink.compose_withdrawal
        try:
            payload = await asyncio.to_thread(compose, coming.case, coming.draft, delivery.control_id)
        except Exception:  # noqa: BLE001 - it is composed again once its turn has come, and what is wrong is told then
            return None
        return Ready(delivery=delivery, payload=payload, saved_at=coming.saved_at, at=coming.at)


def _key(one: Head | Coming | Ready) -> tuple[str, datetime | None]:
    """A delivery, with its case as it was saved at a time."""
    return one.delivery.control_id, one.saved_at
