"""Pairs: each outcome of the new version beside one of what it is held to.

A pair once made stays, whatever comes later: what is read after the next report begins with what was read before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from radbridge.trials.outcome import Outcome

Pair = tuple[Outcome, Outcome]
"""The new version's outcome, and the other."""
OLDER = 100
"""So many reports from before a promotion at most are the measure of what came after it."""


def pair_beside(new: Sequence[Outcome], old: Sequence[Outcome]) -> list[Pair]:
    """Two versions that draft side by side: each outcome takes the newest of the other side that has none yet."""
    new_numbers = {outcome.number for outcome in new}
    waiting: list[Outcome] = []
    pairs: list[Pair] = []
    for outcome in sorted([*new, *old], key=lambda o: o.number):
        is_new = outcome.number in new_numbers
        if waiting and (waiting[-1].number in new_numbers) != is_new:
            other = waiting.pop()
            pairs.append((outcome, other) if is_new else (other, outcome))
        else:
            waiting.append(outcome)
    return pairs


def pair_after(new: Sequence[Outcome], old: Sequence[Outcome]) -> list[Pair]:
    """A version that drafts after another: its first outcome beside the last before it, its second the last but one."""
    before = sorted(old, key=lambda o: o.number, reverse=True)[:OLDER]
    return list(zip(sorted(new, key=lambda o: o.number), before, strict=False))
