"""The parts of the page that are about the reports: which groups fare worse, what the data are, what drafts cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from radbridge.evaluation.cost import Cost
from radbridge.evaluation.datatables import SECTIONS, DataRow
from radbridge.evaluation.markup import Html, join, table, tag
from radbridge.evaluation.panels import make_mark, show_plot
from radbridge.evaluation.printing import (
    NOTHING,
    print_bytes,
    print_change,
    print_estimate,
    print_p,
    print_seconds,
    print_span,
    print_value,
)
from radbridge.evaluation.report import Evaluation, FigureNote, SystemNote
from radbridge.evaluation.subgroups import SubgroupRow, call_out
from radbridge.evaluation.svg import Row, draw_rows

GROUP_TITLES = {
    "modality": "Modality",
    "body_system": "Body system",
    "sex": "Sex",
    "age_band": "Age",
    "institution": "Institution",
    "radiologist": "Radiologist",
    "persona": "Persona",
}
PLOTTED = ("rougeL", "label_f1")
"""The figures that a group is drawn by."""
MOST_LEVELS = 40
"""Of a group, on the page: those with the most reports, and all that are called out."""
_JOULES_A_WATT_HOUR = 3_600


def tell_difference(row: SubgroupRow, note: FigureNote) -> str:
    """One sentence for a level that differs from the others."""
    gap = None if row.comparison is None else row.comparison.difference
    if gap is None or gap.value is None:
        return ""
    side = "above" if gap.value > 0 else "below"
    unit = " points" if note.unit == "%" else ""
    return (
        f"{note.title} for {GROUP_TITLES[row.group].lower()} {row.level} ({row.reports} reports) is "
        f"{print_value(abs(gap.value), note.unit)}{unit} {side} the others (difference {print_span(gap, note.unit)}), "
        f"{print_p(row.p_corrected)} after correction"
    )


def show_subgroups(evaluation: Evaluation) -> Html:
    """For each system what is called out, and each group's levels."""
    notes = {note.name: note for note in evaluation.figures}
    systems = [system for system in evaluation.systems if system.subgroups]
    if not systems:
        return tag("p", "The references tell no group with two levels or more.", class_="soft")
    return join(_show_system(system, notes) for system in systems)


def _show_system(system: SystemNote, notes: Mapping[str, FigureNote]) -> Html:
    called = [(row, note) for row in call_out(system.subgroups) if (note := notes.get(row.figure))]
    items = [
        tag("li", tell_difference(row, note), class_="warn" if _is_worse(row, note) else "") for row, note in called
    ]
    told = tag("ul", *items, class_="verdicts") if items else tag("p", "No difference is significant after correction.")
    groups = [
        _show_group(group, list(rows), notes) for group, rows in groupby(system.subgroups, key=lambda row: row.group)
    ]
    return join((tag("h3", system.name), told, *groups))


def _is_worse(row: SubgroupRow, note: FigureNote) -> bool:
    value = row.comparison.difference.value if row.comparison else None
    return value is not None and (value < 0) == (note.better == "more")


def _show_group(group: str, rows: Sequence[SubgroupRow], notes: Mapping[str, FigureNote]) -> Html:
    shown, others = _pick_levels(rows)
    figures = [note for name in dict.fromkeys(row.figure for row in shown) if (note := notes.get(name))]
    drawn = [note for note in figures if note.name in PLOTTED]
    plots = [_plot(group, note, [row for row in shown if row.figure == note.name]) for note in drawn]
    lines = []
    for level, of_level in groupby(shown, key=lambda row: row.level):
        cells = {row.figure: row for row in of_level}
        lines.append([level, str(next(iter(cells.values())).reports), *(_cell(cells[n.name], n) for n in figures)])
    head = [GROUP_TITLES[group], "Reports", *(f"{n.title}, %" if n.unit == "%" else n.title for n in figures)]
    more = f"{others} smaller levels, none with a significant difference, are in the JSON" if others else ""
    return join((*plots, table(head, lines, caption=more)))


def _pick_levels(rows: Sequence[SubgroupRow]) -> tuple[list[SubgroupRow], int]:
    """The rows of the first levels and of every one that is called out, and how many levels are left out."""
    levels = list(dict.fromkeys(row.level for row in rows))
    kept = {*levels[:MOST_LEVELS], *(row.level for row in rows if row.significant)}
    return [row for row in rows if row.level in kept], len(levels) - len(kept)


def _plot(group: str, note: FigureNote, rows: Sequence[SubgroupRow]) -> Html:
    marks = [
        Row(
            label=row.level,
            marks=(make_mark(row.inside, unit=note.unit, strong=row.significant),),
            note=str(row.reports),
        )
        for row in rows
    ]
    title = f"{note.title} by {GROUP_TITLES[group].lower()}; at the right the number of reports"
    return show_plot(draw_rows(marks, title=title, from_zero=True), title)


def _cell(row: SubgroupRow, note: FigureNote) -> Html:
    shown = [tag("span", print_estimate(row.inside, note.unit))]
    if row.comparison is not None:
        gap = f"{print_change(row.comparison.difference.value, note.unit)}, {print_p(row.p_corrected)}"
        kind = ("bad" if _is_worse(row, note) else "good") if row.significant else ""
        shown.append(tag("span", gap, class_=f"span {kind}".rstrip()))
    return join(shown)


def show_data(rows: Sequence[DataRow]) -> Html:
    """How many reports of which modality, and how long their sections are."""
    head = ["Modality", "Reports", "Share, %"]
    for name in SECTIONS:
        title = {"indication": "clinical information"}.get(name, name)
        head += [f"{title}: words", "sentences"]
    return table(head, (list(_data_row(row)) for row in rows), caption="Means over the reports that have the section")


def _data_row(row: DataRow) -> Iterator[str]:
    yield {None: "All", "": "not told"}.get(row.modality, row.modality or "")
    yield f"{row.reports:,}"
    yield print_value(row.share, "%")
    for name in SECTIONS:
        section = row.sections.get(name)
        yield NOTHING if section is None else f"{section.words:.1f}"
        yield NOTHING if section is None else f"{section.sentences:.1f}"


def show_costs(systems: Sequence[SystemNote]) -> Html:
    """What 1,000 drafts cost, of the systems that somebody metered."""
    rows = [[system.name, *_cost_row(system.cost)] for system in systems if system.cost is not None]
    head = ["System", "Drafts measured", "Time", "Processor time", "Energy", "Energy read from", "Memory at most"]
    return table(head, rows, caption="For 1,000 drafts; memory at once")


def _cost_row(cost: Cost) -> Iterator[str]:
    wall, cpu, joules = (cost.per_thousand(amount) for amount in (cost.wall_s, cost.cpu_s, cost.joules))
    yield f"{cost.drafts:,}"
    yield NOTHING if wall is None else print_seconds(wall)
    yield NOTHING if cpu is None else print_seconds(cpu)
    yield "not readable" if joules is None else f"{joules / _JOULES_A_WATT_HOUR:.1f} Wh"
    yield ", ".join(cost.meters) or NOTHING
    yield NOTHING if cost.peak_rss_bytes is None else print_bytes(cost.peak_rss_bytes)
