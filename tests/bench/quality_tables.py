"""Evaluations as Markdown tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from radbridge.evaluation.measure import Unit
from radbridge.evaluation.panels import make_mark
from radbridge.evaluation.printing import NOTHING, print_value
from radbridge.evaluation.report import Evaluation
from radbridge.evaluation.resample import Estimate
from radbridge.evaluation.svg import Row, draw_rows

COLUMNS = (
    ("rouge1", "R-1"),
    ("rouge2", "R-2"),
    ("rougeL", "R-L"),
    ("label_f1", "label F1"),
    ("any_omitted", "leave one out"),
    ("any_unsupported", "make one up"),
    ("unsupported_words", "words found nowhere"),
    ("blocked", "kept back"),
    ("edit_distance", "edit distance"),
    ("acceptable", "acceptable"),
    ("style_distance", "style distance"),
    ("length_ratio", "length"),
)
"""Figures of the tables, and their heads. Shares are per cent, the length is over the signed one's."""
ABNORMAL = (("rougeL", "R-L abnormal"), ("label_f1", "label F1 abnormal"))
DRAWN = ("rougeL", "label_f1", "any_omitted", "unsupported_words", "blocked", "edit_distance", "acceptable")


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One part of the page."""

    name: str
    body: str
    """Markdown."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """By file name: SVG."""


def tabulate(evaluation: Evaluation, columns: Sequence[tuple[str, str]] = COLUMNS) -> str:
    """A row for each system."""
    notes = {note.name: note for note in evaluation.figures}
    shown = [(name, head) for name, head in columns if name in notes]
    tail = ABNORMAL if 0 < evaluation.abnormal < evaluation.reports else ()
    rows = [
        [
            f"`{system.name}`" if system.kind == "baseline" else system.name,
            *(_cell(system.figures.get(name), notes[name].unit) for name, _ in shown),
            *(_cell(system.abnormal.get(name), notes[name].unit) for name, _ in tail),
        ]
        for system in evaluation.systems
    ]
    return write_table(["", *(head for _, head in (*shown, *tail))], rows)


def write_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(evaluation: Evaluation, title: str) -> str:
    """The shares of all systems."""
    notes = {note.name: note for note in evaluation.figures}
    rows = [
        Row(
            label=notes[name].title,
            marks=tuple(
                make_mark(system.figures.get(name), series=place) for place, system in enumerate(evaluation.systems)
            ),
        )
        for name in DRAWN
        if name in notes
    ]
    return draw_rows(rows, title=title, from_zero=True, key=[system.name for system in evaluation.systems])


def draw_levels(evaluation: Evaluation, group: str, figure: str, title: str) -> str:
    """One figure of each level of a group, for all systems."""
    by_system = [
        {row.level: row.inside for row in system.subgroups if row.group == group and row.figure == figure}
        for system in evaluation.systems
    ]
    levels = sorted({level for told in by_system for level in told})
    rows = [
        Row(label=level, marks=tuple(make_mark(told.get(level), series=n) for n, told in enumerate(by_system)))
        for level in levels
    ]
    return draw_rows(rows, title=title, from_zero=True, key=[system.name for system in evaluation.systems])


def _cell(estimate: Estimate | None, unit: Unit) -> str:
    return NOTHING if estimate is None else print_value(estimate.value, unit)
