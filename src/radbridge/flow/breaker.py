"""The breaker: a destination that gives no yes is left alone, longer each time, and tried with one send at a time.

Pure: the time comes from outside, what is known of a destination is a value (`radbridge.journal.destinations`).

    closed   sends go out; so many without a yes in a row open it
    open     nothing is sent until `open_until`
    half     from then on one send is tried: a yes closes it, anything else opens it for twice as long

A message that was never tried need not wait for longer than the first stop was: the peer may choke on others alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from radbridge.journal.destinations import Health

LONGEST_S = 900.0
"""A peer is tried at least this often: what waits for it grows old."""

NOTED_EACH = timedelta(seconds=1)
"""A destination that says yes and yes again is noted so often, not with each delivery."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """When to leave a destination alone."""

    after: int
    """Sends without a yes in a row."""
    first_s: float
    """How long the first stop is."""

    def wait_s(self, health: Health, now: datetime, *, fresh: bool) -> float:
        """Seconds until a send may be tried; 0: now. Never longer than the stop was, whatever the clock did since.

        `fresh` says that the message was never tried.
        """
        if health.open_until is None:
            return 0.0
        left_s = min((health.open_until - now).total_seconds(), health.breaker_s)
        return max(0.0, left_s - max(0.0, health.breaker_s - self.first_s) if fresh else left_s)

    def claim(self, health: Health, now: datetime, *, fresh: bool) -> Health | None:
        """A send begins: how it looks to all others from here on. None when there may be none now."""
        if health.open_until is None:
            return health
        if self.wait_s(health, now, fresh=fresh) > 0:
            return None
        return replace(health, open_until=now + timedelta(seconds=health.breaker_s))

    def unreached(self, health: Health, now: datetime) -> Health:
        """Nobody was there: that is no failure, and whoever knocks next may try."""
        return health if health.open_until is None else replace(health, open_until=now)

    def said_yes(self, health: Health, now: datetime) -> Health:
        """It took a message, or refused that one for good: it works."""
        return Health(answered_at=now)

    def is_known(self, health: Health, now: datetime) -> bool:
        """Whether a yes tells nothing new: the last one was noted a moment ago, and nothing else since."""
        heard = health.answered_at
        return heard is not None and health == Health(answered_at=heard) and timedelta(0) <= now - heard < NOTED_EACH

    def said_no_again(self, health: Health, now: datetime) -> Health:
        """It answered, and asked once more for the same message: one message that it chokes on opens nothing."""
        return replace(health, answered_at=now)

    def failed(self, health: Health, now: datetime, *, answered: bool) -> Health:
        """It gave no yes: an error, or no answer at all."""
        failures = health.failures + 1
        heard = now if answered else health.answered_at
        if failures < self.after and health.open_until is None:
            return replace(health, failures=failures, answered_at=heard)
        stop_s = min(LONGEST_S, health.breaker_s * 2 if health.breaker_s else self.first_s)
        return Health(
            failures=failures, open_until=now + timedelta(seconds=stop_s), breaker_s=stop_s, answered_at=heard
        )
