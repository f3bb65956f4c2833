"""By how much a memory lowers the edit distance for each radiologist: they are what is drawn, not their reports."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from statistics import mean, median

from radbridge.evaluation.report import Evaluation

DRAWS = 10_000
ENOUGH = 25.0
"""Per cent less work that a memory should give."""


def tell_reductions(evaluation: Evaluation, without: str, with_memory: str) -> str:
    """One paragraph: how the reductions lie, and their mean with an interval over radiologists drawn anew."""
    before, after = (_distances(evaluation, name) for name in (without, with_memory))
    fell = sorted(100 * (1 - after[reader] / before[reader]) for reader in before if before[reader])
    low, high = draw_interval(fell)
    enough = sum(value >= ENOUGH for value in fell)
    return (
        f"By radiologist, {with_memory} against {without}: edit distance falls by {mean(fell):.1f} % on the mean "
        f"[{low:.1f}, {high:.1f}; 95 %, radiologists drawn anew], least {fell[0]:.1f}, median {median(fell):.1f}, "
        f"most {fell[-1]:.1f}; by {ENOUGH:.0f} % or more for {enough} of {len(fell)}."
    )


def draw_interval(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean."""
    rng = Random(seed)
    drawn = sorted(mean(rng.choices(values, k=len(values))) for _ in range(DRAWS))
    return drawn[int(0.025 * DRAWS)], drawn[int(0.975 * DRAWS)]


def _distances(evaluation: Evaluation, system: str) -> dict[str, float]:
    """Each radiologist's mean edit distance."""
    note = next(note for note in evaluation.systems if note.name == system)
    told = (row for row in note.subgroups if (row.group, row.figure) == ("radiologist", "edit_distance"))
    return {row.level: row.inside.value for row in told if row.inside.value is not None}
