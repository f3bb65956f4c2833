"""What a modifier is said of: the entity with least between them, in the same clause."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

_JOINS = frozenset(("and", "with", "or", "as"))
_JOIN_COST = 2
_COMMA_COST = 3


class Near:
    """Distances between the words of one statement; a word costs 1, what joins or parts phrases more."""

    def __init__(self, words: Sequence[str], commas: Sequence[int], clauses: Sequence[int]) -> None:
        """A comma stands before the words at `commas`, a clause begins with those at `clauses`."""
        costs = [1 + _JOIN_COST * (word in _JOINS) for word in words]
        for at in commas:
            if at < len(costs):
                costs[at] += _COMMA_COST
        self._upto = list(accumulate(costs, initial=0))
        self._clauses = sorted(set(clauses))

    def clause(self, at: int) -> int:
        """The number of the clause that a word stands in."""
        return bisect_right(self._clauses, at)

    def distance(self, one: tuple[int, int], other: tuple[int, int]) -> int:
        """The cost of the words between two ranges of words; 0 when they touch or overlap."""
        first, second = sorted((one, other))
        return max(0, self._upto[second[0]] - self._upto[first[1]])

    def nearest(self, modifier: tuple[int, int], ranges: Sequence[tuple[int, int]], reach: int = 1000) -> int | None:
        """The index of the range in the modifier's clause that is nearest, the later of two; None out of `reach`."""
        clause = self.clause(modifier[0])
        there = [i for i, r in enumerate(ranges) if self.clause(r[0]) == clause]
        best = min(there, key=lambda i: (self.distance(modifier, ranges[i]), -i), default=None)
        return best if best is not None and self.distance(modifier, ranges[best]) <= reach else None
