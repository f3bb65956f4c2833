"""Up to where a numbered table has been read, while several write to it: numbers are committed out of order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

_BEHIND = 1000
GAP_S = 60.0
"""A number that is missing for so long belongs to a transaction that was never committed."""


@dataclass(slots=True)
class Mark:
    """What `of` is asked for: rows above it; `take` tells which of these are new, and moves it on."""

    after: int = 0
    """All up to here is read; above it a few may be, too."""
    _is_begun: bool = False
    _read: set[int] = field(default_factory=set)
    _missing: dict[int, float] = field(default_factory=dict)
    """Since when a number below one that was read is waited for."""

    def begin(self, last: int) -> bool:
        """The first time, and no other, put it to where nothing below is likely to be still missing; whether it was."""
        if self._is_begun:
            return False
        self._is_begun = True
        self.after = max(0, last - _BEHIND)
        return True

    def take(self, numbers: Iterable[int], now_s: float) -> set[int]:
        """Those of the rows above the mark that weren't read before."""
        found = set(numbers)
        new = found - self._read
        self._read |= found
        top = max(self._read, default=self.after)
        for number in range(self.after + 1, top):
            if number not in self._read:
                self._missing.setdefault(number, now_s)
        while self.after < top and self._is_over(self.after + 1, now_s):
            self.after += 1
            self._read.discard(self.after)
            self._missing.pop(self.after, None)
        return new

    def _is_over(self, number: int, now_s: float) -> bool:
        return number in self._read or now_s - self._missing.get(number, now_s) >= GAP_S
