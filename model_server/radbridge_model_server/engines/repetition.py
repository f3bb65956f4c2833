"""When a text goes round in circles."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST_PERIOD = 32
_LOOP_TOKENS = 12


def is_looping(tokens: Sequence[int]) -> bool:
    """Whether the text ends in one block said at least three times over, at least twelve tokens in all."""
    for period in range(1, min(_LONGEST_PERIOD, len(tokens) // 3) + 1):
        length = period * max(3, -(-_LOOP_TOKENS // period))
        tail = tokens[-length:]
        if len(tail) == length and tail[period:] == tail[:-period]:
            return True
    return False
