"""Two sequences of words side by side: what they share in order, and how many edits lie between them.

Bit-parallel: one column of the matrix is one integer, so two texts of 2,000 words take milliseconds, whatever they say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def locate_each(words: Sequence[str]) -> dict[str, int]:
    """For each word the set of its places, as bits."""
    places: dict[str, int] = {}
    for i, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << i
    return places


def trace_common(before: Sequence[str], after: Sequence[str]) -> list[int]:
    """One integer for each prefix of `after`: a zero bit where the common subsequence grows (Hyyrö 2004)."""
    full, places = (1 << len(before)) - 1, locate_each(before)
    columns = [full]
    for word in after:
        column = columns[-1]
        match = column & places.get(word, 0)
        columns.append((column + match | column - match) & full)
    return columns


def count_common(places: Mapping[str, int], length: int, after: Sequence[str]) -> int:
    """The length of the longest common subsequence of `after` and the `length` words that `places` tells of."""
    column = full = (1 << length) - 1
    for word in after:
        if match := column & places.get(word, 0):
            column = (column + match | column - match) & full
    return length - column.bit_count()


def count_edits(before: Sequence[str], after: Sequence[str]) -> int:
    """Levenshtein distance (Hyyrö 2003)."""
    if not before:
        return len(after)
    full, last = (1 << len(before)) - 1, 1 << (len(before) - 1)
    places = locate_each(before)
    up, down, distance = full, 0, len(before)
    for word in after:
        match = places.get(word, 0)
        same = (((match & up) + up) ^ up) | match | down
        right, left = down | ~(same | up) & full, up & same
        distance += bool(right & last) - bool(left & last)
        right, left = (right << 1 | 1) & full, left << 1 & full
        up, down = left | ~(same | right) & full, right & same
    return distance
