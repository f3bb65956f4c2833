"""Whether a system serves some worse than others: the levels of a group against the rest, corrected for many tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from radbridge.evaluation.groups import GROUPS
from radbridge.evaluation.measure import Figure
from radbridge.evaluation.resample import (
    Comparison,
    Estimate,
    choose_draws,
    contrast,
    draw_all,
    holm,
    interval,
    sum_rows,
)
from radbridge.evaluation.sums import Groups, Table

TESTED = ("rougeL", "label_f1", "omitted", "edit_distance", "blocked")
"""The figures that levels are compared by."""
LEAST = 20
"""Reports of a level, and of the rest, from which on a difference is tested."""
SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class SubgroupRow:
    """One figure of the reports of one level."""

    group: str
    level: str
    levels: int
    """How many levels the group has. Of two only the first is tested: the other would be the same test."""
    reports: int
    figure: str
    inside: Estimate
    comparison: Comparison | None = None
    """The level less the rest of its group; None where it isn't tested, as with fewer than `LEAST` reports."""
    p_corrected: float | None = None

    @property
    def significant(self) -> bool:
        return self.p_corrected is not None and self.p_corrected < SIGNIFICANT


def find_differences(table: Table, groups: Groups, *, seed: int = 0) -> tuple[SubgroupRow, ...]:
    """Every level of every group that has two or more, with Holm's correction over all tests of the system."""
    figures = [(figure, rows) for figure, rows in table.figures() if figure.name in TESTED]
    found = [row for name in GROUPS for row in _compare_levels(name, groups, figures, seed)]
    tested = [place for place, row in enumerate(found) if row.comparison and row.comparison.p is not None]
    corrected = holm([_p(found[place]) for place in tested])
    for place, p in zip(tested, corrected, strict=True):
        found[place] = replace(found[place], p_corrected=p)
    return tuple(found)


def call_out(rows: Iterable[SubgroupRow]) -> tuple[SubgroupRow, ...]:
    """The significant rows, the surest first, of equals the largest difference."""
    return tuple(sorted((row for row in rows if row.significant), key=lambda row: (row.p_corrected or 0.0, -_gap(row))))


def _p(row: SubgroupRow) -> float:
    return 1.0 if row.comparison is None or row.comparison.p is None else row.comparison.p


def _gap(row: SubgroupRow) -> float:
    return abs(row.comparison.difference.value or 0.0) if row.comparison else 0.0


def _compare_levels(
    group: str, groups: Groups, figures: Sequence[tuple[Figure, NDArray[np.generic]]], seed: int
) -> Iterator[SubgroupRow]:
    codes, levels = groups.codes[group], groups.levels[group]
    told = codes >= 0
    if len(levels) < 2 or not figures:
        return
    columns = [(rows[told], figure.estimate) for figure, rows in figures]
    counts = np.bincount(codes[told], minlength=len(levels))
    for place, code in enumerate(_order(group, levels, counts)):
        inside = codes[told] == code
        size = int(counts[code])
        tested: Sequence[Comparison | None] = [None] * len(figures)
        if LEAST <= size <= len(inside) - LEAST and not (len(levels) == 2 and place):
            tested = contrast(columns, inside, draws=choose_draws(len(inside)), seed=seed)
        drawn = draw_all([rows[inside] for rows, _ in columns], seed=seed)
        for (figure, _), (rows, by), sums, comparison in zip(figures, columns, drawn, tested, strict=True):
            yield SubgroupRow(
                group=group,
                level=levels[code],
                levels=len(levels),
                reports=size,
                figure=figure.name,
                inside=interval(float(by(sum_rows(rows[inside]))), by(sums)),
                comparison=comparison,
            )


def _order(group: str, levels: Sequence[str], counts: NDArray[np.int64]) -> list[int]:
    """Ages from young to old, everything else from the commonest on."""
    if group == "age_band":
        return sorted(range(len(levels)), key=lambda code: levels[code])
    return sorted(range(len(levels)), key=lambda code: (-counts[code], levels[code]))
