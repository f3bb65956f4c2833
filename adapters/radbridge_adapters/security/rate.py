"""Token buckets: how often somebody may ask, for long and at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

_MOST: Final = 8192
"""Names that are remembered; the one that was quiet for longest is forgotten, and begins with a full bucket again."""


class Buckets:
    """One bucket for each name. A rate of 0 lets everything pass."""

    def __init__(self, rate_per_s: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        """`burst` tokens at most; `clock` gives seconds."""
        self._rate = rate_per_s
        self._burst = float(burst)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take a token: 0, or the seconds after which there will be one."""
        if not self._rate:
            return 0.0
        now = self._clock()
        tokens, at = self._left.pop(name, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        is_there = tokens >= 1.0
        self._left[name] = (tokens - 1.0 if is_there else tokens, now)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)
        return 0.0 if is_there else (1.0 - tokens) / self._rate
