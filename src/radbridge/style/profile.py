"""What of a signer's style is layout and choice, counted over signed reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from radbridge.style.signed import Signed

_LEAVING = 0.5
"""Votes for leaving a layout as it is: another one counts from the first report on."""
_LEAST_NORMAL, _LEAST_ABNORMAL = 2, 5
"""Reports that it takes to know how many denials a signer leaves out: beside findings none may have been asked for."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class StyleProfile:
    """A signer's habits. The default leaves a draft as it is."""

    reports: int = 0
    """How many it was counted over."""
    marker: str = ""
    """Before each item, with `{}` for its number; empty: prose."""
    marks_single: bool = True
    """Whether a single item has a marker too."""
    denials_last: bool = False
    """Otherwise, and among the others, as the coarse stage puts it: what is critical first."""
    joins_denials: bool = False
    """`No A, and no B.`"""
    opening: str = ""
    closing: str = ""
    capitals: bool = False
    most_alone: int | None = None
    """The most denials where there is nothing else to say; None: as many as there are."""
    most_beside: int | None = None
    """The most of them beside findings."""


def count_profile(reports: Sequence[Signed]) -> StyleProfile:
    """Each habit by majority, with a little for leaving things as they are."""
    lists = [r for r in reports if len(r.sentences) > 1] or reports
    singles = [r for r in reports if len(r.sentences) == 1]
    return StyleProfile(
        reports=len(reports),
        marker=_decide((r.marker for r in lists), ""),
        marks_single=_decide((bool(r.marker) for r in singles), True),
        denials_last=_decide((r.denials_last for r in reports), False),
        joins_denials=_decide((joins for r in reports for joins in r.joins_denials), False),
        opening=_decide((r.opening for r in reports), ""),
        closing=_decide((r.closing for r in reports), ""),
        capitals=_decide((r.capitals for r in reports), False),
        most_alone=_count_alone(r.denials_alone for r in reports),
        most_beside=_count_beside(r.denials_beside for r in reports),
    )


def _decide(told: Iterable[T | None], default: T) -> T:
    """What most of those that tell something tell; `default` unless it has the better of `_LEAVING` votes more."""
    votes = Counter(vote for vote in told if vote is not None)
    for value, count in votes.most_common(1):
        if value == default or 2 * count > votes.total() + _LEAVING:
            return value
    return default


def _count_alone(told: Iterable[int | None]) -> int | None:
    """The median, the larger of the two in the middle."""
    counts = sorted(count for count in told if count is not None)
    return counts[len(counts) // 2] if len(counts) >= _LEAST_NORMAL else None


def _count_beside(told: Iterable[int | None]) -> int | None:
    """As many as in three of four reports, or fewer: a single long one is no habit."""
    counts = sorted(count for count in told if count is not None)
    return counts[3 * (len(counts) - 1) // 4] if len(counts) >= _LEAST_ABNORMAL else None
