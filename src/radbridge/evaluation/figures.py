"""Figures with their intervals: all of one measure from the same bootstrap samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radbridge.entities.labels import load_labels
from radbridge.evaluation.labels import COUNTS, EachLabel, LabelCounts, f1_of
from radbridge.evaluation.measure import Numbers, safe_divide
from radbridge.evaluation.report import LabelNote
from radbridge.evaluation.resample import Estimate, draw_all, draw_sums, interval, sum_rows
from radbridge.evaluation.sums import Table

LEAST_SUPPORT = 5
"""Signed reports with a label from which on it is shown."""


def estimate_figures(
    table: Table, *, draws: int, seed: int, within: NDArray[np.bool_] | None = None
) -> dict[str, Estimate]:
    """Every figure of a system, over all reports or over those `within`; empty when these are none."""
    measures = [measure for measure in table.measures if measure.figures]
    columns = [table.columns[measure.name] for measure in measures]
    columns = columns if within is None else [rows[within] for rows in columns]
    if not len(columns[0]):
        return {}
    return {
        figure.name: interval(float(figure.estimate(sum_rows(rows))), figure.estimate(drawn))
        for measure, rows, drawn in zip(measures, columns, draw_all(columns, draws=draws, seed=seed), strict=True)
        for figure in measure.figures
    }


def estimate_labels(table: Table, *, draws: int, seed: int) -> tuple[LabelNote, ...]:
    """Precision, recall and F1 of every label that enough signed reports have, in the order of the label table."""
    rows = LabelCounts(table.columns[EachLabel.name])
    sums, drawn = sum_rows(rows), draw_sums(rows, draws=draws, seed=seed)
    names = [(part, name) for part, group in load_labels().groups.items() for name in group]
    notes = []
    for place, (part, name) in enumerate(names):
        columns = slice(place * COUNTS, (place + 1) * COUNTS)
        both, _, meant = sums[columns]
        support = round(both + meant)
        if support >= LEAST_SUPPORT:
            precision, recall, f1 = (
                interval(float(value), sample)
                for value, sample in zip(_score(sums[columns]), _score(drawn[:, columns]), strict=True)
            )
            notes.append(LabelNote(label=name, part=part, support=support, precision=precision, recall=recall, f1=f1))
    return tuple(notes)


def _score(counts: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    both, said, meant = (counts[..., place] for place in range(COUNTS))
    return safe_divide(both, both + said), safe_divide(both, both + meant), f1_of(both, said, meant)
