"""Whose turn it is: urgent ones first, and nobody waits for ever."""

from __future__ import annotations

from collections import deque
from typing import TypeVar

URGENT_IN_A_ROW = 4
"""After so many urgent ones that went before somebody who waited, one of those goes."""

T = TypeVar("T")


class Turns:
    """Takes from two lines: the urgent first, each in its own order."""

    def __init__(self) -> None:
        self._overtaken = 0

    def take(self, urgent: deque[T], other: deque[T]) -> T | None:
        """Take the next out of its line; None when both are empty."""
        if urgent and (not other or self._overtaken < URGENT_IN_A_ROW):
            self._overtaken += bool(other)
            return urgent.popleft()
        self._overtaken = 0
        return other.popleft() if other else None
