"""A destination as one courier works for it: by which rules, under which lease, and what goes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection

from radbridge.config.delivery import Delivery as Rules
from radbridge.flow.breaker import Breaker
from radbridge.flow.turns import AHEAD, Turns
from radbridge.journal import heads
from radbridge.journal.deliveries import Delivery
from radbridge.journal.heads import WHOLE, Coming, Head, Lines, Look, Share
from radbridge.wire import Holder

T = TypeVar("T", Head, Coming)

LONGEST_PAUSE_S = 900.0
"""A peer that wants to be left alone for longer is asked all the same: its drafts grow old."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """A destination as one courier works for it."""

    name: str
    rules: Rules
    max_attempts: int
    holder: Holder
    lease: str
    share: Share = WHOLE
    me: str = ""
    """The gateway's id, where several share the journal."""
    ahead: timedelta = AHEAD
    """How much earlier what is urgent counts as queued."""

    @property
    def breaker(self) -> Breaker:
        """When the destination is left alone."""
        return Breaker(after=self.rules.breaker_after, first_s=self.rules.breaker_s)

    def look(self, conn: Connection, *, closed: bool) -> Look:
        """The destination, and what is next to go there.

        In closed hours only what takes a draft back; behind a breaker what was never sent, where there is such.
        """
        lines = self._lines(closed=closed)
        found = heads.look(conn, lines)
        if found.place.health.open_until is None:
            return found
        fresh = heads.look(conn, replace(lines, fresh_only=True))
        return fresh if fresh.heads else found

    def choose(self, look: Look, now: datetime) -> Head | None:
        """Whose turn it is of those that are due."""
        due = [head for head in look.heads if wait_s(head.delivery, now) == 0]
        return next(iter(self._in_turn(due)), None)

    def coming(self, conn: Connection, *, closed: bool, at_most: int) -> list[Coming]:
        """What is to be composed, as it will come by turns; `at_most` of it."""
        return self._in_turn(heads.coming(conn, self._lines(closed=closed), at_most=at_most))[:at_most]

    def _lines(self, *, closed: bool) -> Lines:
        return Lines(destination=self.name, share=self.share, withdrawals_only=closed)

    def _in_turn(self, found: Collection[T]) -> list[T]:
        turns = Turns[T](since=lambda one: one.delivery.created_at, ahead=self.ahead)
        urgent, other = (deque(one for one in found if one.delivery.urgent == is_urgent) for is_urgent in (True, False))
        order = []
        while (one := turns.take(urgent, other)) is not None:
            order.append(one)
        return order


def wait_s(delivery: Delivery, now: datetime) -> float:
    """Seconds until a delivery is due.

    It is due now where it was never tried, or has to wait longer than any pause lasts: then a clock was wrong.
    """
    left_s = (delivery.next_at - now).total_seconds()
    return left_s if delivery.attempts and 0 < left_s <= LONGEST_PAUSE_S else 0.0
