"""Limits: `<50 %`, `over 5 cm` and `50-69 %` give no value, but a range that the value lies in."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from radbridge.entities import EntityText, Measure

_UNDER = r"<|≤|(?:less|smaller|lower|no more|no larger|no greater|not more) than|under|below|at most|not exceeding"
_OVER = r">|≥|(?:greater|more|larger|higher|no less|not less) than|over|above|at least|exceeding|in excess of"
_LIMIT = re.compile(
    rf"(?P<none>\b(?:none|nothing|never)(?: is| are)?\s+)?(?:(?P<under>{_UNDER})|(?P<over>{_OVER}))"
    r"\s{0,2}=?\s{0,2}(?:or equal to )?(?:about |approximately )?$",
    re.IGNORECASE,
)
_RANGE = re.compile(r"[\d.]+\s{0,3}%?\s{0,3}(?:-|–|to)\s{0,3}[\d.]+\s{0,3}(?:%|percent)", re.IGNORECASE)
_LAST = tuple("< > ≤ ≥ = than under below most exceeding over above least of to about approximately".split())
"""How what stands before a limit's value ends."""
_LONGEST = 40
"""Characters before a value in which a limit's words stand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """What a value that isn't given lies between, in its quantity's first unit."""

    low: float = -math.inf
    high: float = math.inf

    def holds(self, told: Measure, limit: Bound | None) -> bool:
        """Whether what is told lies in it: a value, or a `limit` that is no wider."""
        if limit is None:
            return self.low <= told.value <= self.high
        return self.low <= limit.low and limit.high <= self.high

    def is_like(self, other: Bound) -> bool:
        """Whether both are open at the same end."""
        return math.isinf(self.low) == math.isinf(other.low) and math.isinf(self.high) == math.isinf(other.high)


def read_bound(measure: Measure, text: EntityText) -> Bound | None:
    """The limit that `measure` is in its text, or None where it is a value.

    `No stenosis over 50 %` says that it is 50 % at most.
    """
    if measure.quantity == "percent" and _RANGE.fullmatch(measure.text):
        ends = [m.value for m in text.measures if m.start == measure.start]
        return Bound(low=min(ends), high=max(ends))
    if not text.text[max(0, measure.start - _LONGEST) : measure.start].rstrip().lower().endswith(_LAST):
        return None
    match = _LIMIT.search(text.text, max(0, measure.start - _LONGEST), measure.start)
    if match is None:
        return None
    if match["under"] or match["none"] or is_denied(measure, text):
        return Bound(high=measure.value)
    if measure.quantity == "length" and match["over"].lower() == "over":
        return None  # `over 12 cm` is how far something reaches
    return Bound(low=measure.value)


def is_denied(measure: Measure, text: EntityText) -> bool:
    """Whether the value stands in a denial."""
    for statement in text.statements:
        places = statement.phrasing.places
        if places[0][0] <= measure.start < places[-1][1]:
            return any(measure.start <= places[at][0] < measure.end for at in statement.phrasing.denial.words)
    return False
