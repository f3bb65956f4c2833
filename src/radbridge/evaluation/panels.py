"""The parts of the page that are about systems side by side: their figures, plots and comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from radbridge.evaluation.markup import Html, join, table, tag
from radbridge.evaluation.measure import Unit
from radbridge.evaluation.printing import NOTHING, print_difference, print_p, print_span, print_value
from radbridge.evaluation.report import ComparisonNote, Evaluation, FigureNote, LabelNote, SystemNote
from radbridge.evaluation.resample import Estimate
from radbridge.evaluation.subgroups import SIGNIFICANT
from radbridge.evaluation.svg import Mark, Row, draw_key, draw_rows

PARTS = {
    "text": "Likeness to the signed text",
    "content": "Findings told",
    "guard": "What the guard says",
    "style": "Length and style",
    "edit": "Work left to the signer",
    "model": "Measured by models",
}
"""The kinds of figures, in the order of the page."""
PLOTTED = {
    "More is better, %": ("rouge1", "rouge2", "rougeL", "rougeLsum", "bleu", "label_f1", "chexpert_f1", "acceptable"),
    "Less is better, %": ("blocked", "any_omitted", "any_unsupported", "unsupported_words", "edit_distance"),
}
LEAST_SUPPORT = 5
"""Reports with a label from which on its figures are shown."""

Told = Mapping[str, Estimate]


def show_legend(systems: Sequence[SystemNote]) -> Html:
    """Which mark stands for which system."""
    entries = (tag("span", Html(draw_key(place)), system.name) for place, system in enumerate(systems))
    return tag("div", *entries, class_="legend")


def show_figures(evaluation: Evaluation, tell: Callable[[SystemNote], Told], caption: str) -> Html:
    """A column for each system, a row for each figure that one of them has."""
    told = [tell(system) for system in evaluation.systems]
    rows: list[Sequence[str]] = []
    for part, title in PARTS.items():
        known = [note for note in evaluation.figures if note.part == part and _is_worth_a_row(note, told)]
        rows += [[title]] if known else []
        rows += [_figure_row(note, [has.get(note.name) for has in told]) for note in known]
    heads = [_system_head(place, system) for place, system in enumerate(evaluation.systems)]
    return table(["", *heads], rows, caption=caption)


def plot_figures(evaluation: Evaluation, tell: Callable[[SystemNote], Told]) -> Html:
    """The figures that are shares, in two plots: those that should be large, and those that should be small."""
    notes = {note.name: note for note in evaluation.figures}
    told = [tell(system) for system in evaluation.systems]
    plots = []
    for title, names in PLOTTED.items():
        rows = [
            Row(
                label=notes[name].title,
                marks=tuple(make_mark(has.get(name), series=place) for place, has in enumerate(told)),
            )
            for name in names
            if name in notes
        ]
        plots.append(show_plot(draw_rows(rows, title=title, from_zero=True), title))
    return join(plots)


def show_plot(svg: str, title: str) -> Html:
    """A drawing with its title; nothing for a drawing of nothing."""
    return tag("figure", tag("figcaption", title), Html(svg)) if svg else Html()


def make_mark(estimate: Estimate | None, *, unit: Unit = "%", series: int = 0, strong: bool = False) -> Mark:
    """An estimate for a plot, a share as per cent; a mark that isn't drawn where there is none."""
    if estimate is None or estimate.value is None:
        return Mark(value=math.nan, series=series)
    scale = 100 if unit == "%" else 1
    low, high = (None if edge is None else scale * edge for edge in (estimate.low, estimate.high))
    return Mark(value=scale * estimate.value, low=low, high=high, series=series, strong=strong)


def show_comparisons(evaluation: Evaluation) -> Html:
    """Paired tests of one system against another."""
    notes = {note.name: note for note in evaluation.figures}
    rows = [_comparison_row(note, notes[note.figure]) for note in evaluation.comparisons if note.figure in notes]
    head = ["System", "Against", "Figure", "Reports", "Difference", "p", "p corrected"]
    return table(head, rows)


def show_labels(evaluation: Evaluation) -> Html:
    """F1 of each label that is in enough reports."""
    shown = {
        (note.part, note.label): note.support
        for system in evaluation.systems
        for note in system.labels
        if note.support >= LEAST_SUPPORT
    }
    if not shown:
        return tag("p", f"No label is in {LEAST_SUPPORT} signed reports or more.", class_="soft")
    by_system = [{(note.part, note.label): note for note in system.labels} for system in evaluation.systems]
    order = sorted(shown, key=lambda key: (-shown[key], key))
    plotted = [
        Row(
            label=label.replace("_", " "),
            marks=tuple(
                make_mark(has[part, label].f1 if (part, label) in has else None, series=place)
                for place, has in enumerate(by_system)
            ),
            note=f"{shown[part, label]}",
        )
        for part, label in order
    ]
    rows = [
        [
            label.replace("_", " "),
            str(shown[part, label]),
            *(_label_cell(has.get((part, label))) for has in by_system),
        ]
        for part, label in order
    ]
    heads = [_system_head(place, system) for place, system in enumerate(evaluation.systems)]
    title = "F1 of each label, %; at the right how many signed reports have it"
    caption = "F1 with its interval; precision / recall"
    return join(
        (
            show_plot(draw_rows(plotted, title=title, from_zero=True), title),
            table(["Label", "Reports", *heads], rows, caption=caption),
        )
    )


def show_origins(systems: Sequence[SystemNote]) -> Html:
    """How the systems' drafts came about. The baselines have nothing to tell."""
    rows = [
        [
            system.name,
            str(system.failed),
            ", ".join(f"{stage or 'not told'} {count}" for stage, count in system.stages.items()),
            str(system.fallbacks),
            str(system.with_examples),
            " / ".join(f"{ms:.0f}" for ms in (system.ms.p50, system.ms.p95, system.ms.longest))
            if system.ms
            else NOTHING,
        ]
        for system in systems
        if system.kind == "system"
    ]
    head = ["System", "Failed", "By stage", "Second best", "Beside own reports", "ms: median / 95 % / longest"]
    return table(head, rows, caption="How the drafts came about") if rows else Html()


def _system_head(place: int, system: SystemNote) -> Html:
    return tag("span", Html(draw_key(place)), f" {system.name}")


def _is_worth_a_row(note: FigureNote, told: Sequence[Told]) -> bool:
    """Whether a system has the figure. A kind of flag that nobody got isn't shown."""
    values = [has[note.name].value for has in told if note.name in has]
    return any(values) if note.name.startswith("flag_") else bool(values)


def _figure_row(note: FigureNote, told: Sequence[Estimate | None]) -> list[str]:
    values = [estimate.value for estimate in told if estimate is not None and estimate.value is not None]
    best = None
    if len(set(values)) > 1 and note.better != "neither":
        best = max(values) if note.better == "more" else min(values)
    return [_titled(note), *(_figure_cell(estimate, note, best) for estimate in told)]


def _titled(note: FigureNote) -> str:
    return f"{note.title}, %" if note.unit == "%" else note.title


def _figure_cell(estimate: Estimate | None, note: FigureNote, best: float | None) -> Html:
    if estimate is None:
        return Html(NOTHING)
    is_best = best is not None and estimate.value == best
    value = tag("span", print_value(estimate.value, note.unit), class_="best" if is_best else "")
    return join((value, tag("span", print_span(estimate, note.unit), class_="span")))


def _comparison_row(note: ComparisonNote, figure: FigureNote) -> list[str]:
    gap, corrected = note.comparison.difference, note.p_corrected
    sure = corrected is not None and corrected < SIGNIFICANT and gap.value is not None and figure.better != "neither"
    better = gap.value is not None and (gap.value > 0) == (figure.better == "more")
    return [
        note.system,
        note.other,
        _titled(figure),
        note.subset,
        tag("span", print_difference(gap, figure.unit), class_=("good" if better else "bad") if sure else ""),
        print_p(note.comparison.p).removeprefix("p ").removeprefix("= "),
        print_p(corrected).removeprefix("p ").removeprefix("= "),
    ]


def _label_cell(note: LabelNote | None) -> Html:
    if note is None:
        return Html(NOTHING)
    others = f"{print_value(note.precision.value, '%')} / {print_value(note.recall.value, '%')}"
    spans = (print_span(note.f1, "%"), others)
    return join((tag("span", print_value(note.f1.value, "%")), *(tag("span", span, class_="span") for span in spans)))
