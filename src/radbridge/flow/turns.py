"""Whose turn it is: urgent ones first, and nobody waits for ever.

What is urgent counts as if it had come a fixed time earlier. So it overtakes what came up to that time before it, and
nothing that waits for longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

T = TypeVar("T")

AHEAD = timedelta(seconds=30)
"""What `flow.urgent_ahead_s` is by default."""


class Turns(Generic[T]):
    """Takes from two lines: the head that came first, where the urgent ones' counts as `ahead` earlier."""

    def __init__(self, since: Callable[[T], datetime], ahead: timedelta = AHEAD) -> None:
        self._since = since
        self._ahead = ahead

    def take(self, urgent: deque[T], other: deque[T]) -> T | None:
        """Take the next out of its line; None when both are empty."""
        if urgent and (not other or self._since(urgent[0]) - self._ahead <= self._since(other[0])):
            return urgent.popleft()
        return other.popleft() if other else None
