"""Systems beside each other and beside the baselines, and what of it has to be said first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from radbridge.evaluation.measure import Figure
from radbridge.evaluation.printing import print_p, print_value
from radbridge.evaluation.report import ComparisonNote, Subset
from radbridge.evaluation.resample import choose_draws, compare, holm, sum_rows
from radbridge.evaluation.sums import Groups, Rows, Table

COMPARED: Mapping[Subset, tuple[str, ...]] = {
    "all": (
        "rouge1",
        "rouge2",
        "rougeL",
        "label_f1",
        "omitted",
        "unsupported",
        "blocked",
        "edit_distance",
        "acceptable",
        "style_distance",
    ),
    "abnormal": ("rougeL", "label_f1"),
}
"""Figures in which systems are compared."""
TO_BEAT = ("rouge1", "rouge2", "rougeL", "label_f1", "edit_distance")
"""Those in which a system has to beat every baseline; in faults it needn't: who says nothing has none."""
SIGNIFICANT = 0.05
_Named: TypeAlias = tuple[str, Table]


def compare_systems(
    systems: Mapping[str, Table], baselines: Mapping[str, Table], groups: Groups, *, seed: int
) -> tuple[ComparisonNote, ...]:
    """The first system with each of the others, and each with the baseline that is best in a figure."""
    first, *others = systems
    compared = [
        (subset, name)
        for subset, names in COMPARED.items()
        if subset == "all" or groups.abnormal.any()
        for name in names
    ]
    found = [
        _compare(subset, name, (first, systems[first]), (other, systems[other]), groups=groups, seed=seed)
        for other in others
        for subset, name in compared
    ]
    if baselines:
        best = {(s, name): _pick_best(baselines, name, s, groups) for s, name in compared if name in TO_BEAT}
        found += [
            _compare(subset, name, (system, table), other, groups=groups, seed=seed)
            for system, table in systems.items()
            for (subset, name), other in best.items()
        ]
    return tuple(_correct(found))


def tell_verdicts(
    systems: Mapping[str, Table], baselines: Mapping[str, Table], groups: Groups, notes: Sequence[ComparisonNote]
) -> tuple[str, ...]:
    """For each system a sentence with what it doesn't beat, and one with what it does. None without baselines."""
    return tuple(
        sentence
        for name, table in systems.items()
        for sentence in _tell(
            name, table, baselines, groups, [n for n in notes if n.system == name and n.other in baselines]
        )
    )


def _tell(
    system: str, table: Table, baselines: Mapping[str, Table], groups: Groups, notes: Sequence[ComparisonNote]
) -> Iterator[str]:
    beaten: list[str] = []
    unbeaten: dict[str, list[str]] = {}
    for note in notes:
        if note.comparison.difference.value is None:  # one of them isn't defined, such as F1 where there are no labels
            continue
        figure, rows = _take(table, note.figure, note.subset, groups)
        where = figure.title + (" of the abnormal" if note.subset == "abnormal" else "")
        if _is_better(note, figure):
            beaten.append(where)
            continue
        _, theirs = _take(baselines[note.other], note.figure, note.subset, groups)
        own, other = (print_value(_value(figure, r), figure.unit) for r in (rows, theirs))
        unbeaten.setdefault(note.other, []).append(f"{where} ({own} against {other}, {print_p(note.p_corrected)})")
    if unbeaten:
        told = "; nor ".join(f"{other} in {', '.join(figures)}" for other, figures in unbeaten.items())
        yield f"{system} doesn't beat {told}."
    if beaten:
        yield f"{system} beats every retrieval baseline in {', '.join(beaten)}."


def _is_better(note: ComparisonNote, figure: Figure) -> bool:
    difference = note.comparison.difference.value or 0.0
    return (
        note.p_corrected is not None
        and note.p_corrected < SIGNIFICANT
        and (difference > 0 if figure.better == "more" else difference < 0)
    )


def _compare(subset: Subset, name: str, one: _Named, other: _Named, *, groups: Groups, seed: int) -> ComparisonNote:
    figure, rows = _take(one[1], name, subset, groups)
    _, theirs = _take(other[1], name, subset, groups)
    return ComparisonNote(
        system=one[0],
        other=other[0],
        figure=name,
        subset=subset,
        comparison=compare(rows, theirs, figure.estimate, draws=choose_draws(len(rows)), seed=seed),
        p_corrected=None,
    )


def _pick_best(tables: Mapping[str, Table], name: str, subset: Subset, groups: Groups) -> _Named:
    def rank(item: tuple[str, Table]) -> float:
        figure, rows = _take(item[1], name, subset, groups)
        value = _value(figure, rows)
        if value is None:
            return float("-inf")
        return value if figure.better == "more" else -value

    return max(tables.items(), key=rank)


def _take(table: Table, name: str, subset: Subset, groups: Groups) -> tuple[Figure, Rows]:
    figure, rows = table.figure(name)
    return figure, rows[groups.abnormal] if subset == "abnormal" else rows


def _value(figure: Figure, rows: Rows) -> float | None:
    value = float(figure.estimate(sum_rows(rows)))
    return None if value != value else value  # noqa: PLR0124 - not a number


def _correct(notes: Sequence[ComparisonNote]) -> list[ComparisonNote]:
    found = list(notes)
    places = [(place, p) for place, note in enumerate(notes) if (p := note.comparison.p) is not None]
    for (place, _), p in zip(places, holm([p for _, p in places]), strict=True):
        found[place] = replace(found[place], p_corrected=p)
    return found
