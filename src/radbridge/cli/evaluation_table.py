"""What `radbridge evaluate` prints. It is imported only then, since the figures need NumPy."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from radbridge.cli.common import err, out
from radbridge.evaluation.group_panels import tell_difference
from radbridge.evaluation.measure import Unit
from radbridge.evaluation.printing import NOTHING, print_estimate, print_value
from radbridge.evaluation.report import Evaluation, SystemNote
from radbridge.evaluation.resample import Estimate
from radbridge.evaluation.subgroups import call_out

SHOWN = (
    "rouge1",
    "rouge2",
    "rougeL",
    "rougeLsum",
    "bleu",
    "label_f1",
    "omitted",
    "unsupported",
    "unsupported_words",
    "blocked",
    "edit_distance",
    "acceptable",
    "style_distance",
    "words",
)
"""Figures of the terminal's table. The page has them all."""
SHOWN_ABNORMAL = ("rougeL", "label_f1")
_TOLD_BAD = 5
_TOLD_GROUPS = 3


def show(found: Evaluation, bad: Sequence[str]) -> None:
    """The verdicts, one table of the figures that are asked for most, and what was left out."""
    for verdict in found.verdicts:
        out.print(verdict, highlight=False, markup=False)
    out.print(_tabulate(found))
    for system in found.systems:
        _show_differences(system, found)
        if system.failed:
            err.print(f"[yellow]{escape(system.name)}: {system.failed} without a draft[/], counted as empty")
    if found.skipped:
        err.print(f"[yellow]{found.skipped} faulty rows left out[/]:", highlight=False)
        for fault in bad[:_TOLD_BAD]:
            err.print(f"  {fault}", highlight=False, markup=False)
        if found.skipped > _TOLD_BAD:
            err.print(f"  and {found.skipped - _TOLD_BAD} more", highlight=False)


def _show_differences(system: SystemNote, found: Evaluation) -> None:
    """The surest of the groups that a system serves differently."""
    notes = {note.name: note for note in found.figures}
    called = call_out(system.subgroups)
    for row in called[:_TOLD_GROUPS]:
        out.print(f"{system.name}: {tell_difference(row, notes[row.figure])}.", highlight=False, markup=False)
    if len(called) > _TOLD_GROUPS:
        out.print(f"{system.name}: {len(called) - _TOLD_GROUPS} more such differences are on the page.", markup=False)


def _tabulate(found: Evaluation) -> Table:
    table = Table(
        title=f"{found.reports:,} reports, {found.abnormal:,} of them abnormal",
        caption=f"in brackets {100 * found.settings.level:.0f} % bootstrap intervals; shares in per cent",
    )
    table.add_column("")
    for system in found.systems:
        table.add_column(escape(system.name), justify="right", style="dim" if system.kind == "baseline" else None)
    notes = {note.name: note for note in found.figures}
    own = tuple(note.name for note in found.figures if note.part == "model")
    for name in (*SHOWN, *own):
        note = notes[name]
        table.add_row(note.title, *(_tell(system, system.figures.get(name), note.unit) for system in found.systems))
        if name in SHOWN_ABNORMAL and found.abnormal:
            cells = (_tell(system, system.abnormal.get(name), note.unit) for system in found.systems)
            table.add_row(f"  {note.title} of the abnormal", *cells)
    return table


def _tell(system: SystemNote, estimate: Estimate | None, unit: Unit) -> str:
    """A figure; with its interval where it is a system's own."""
    if estimate is None:
        return NOTHING
    return print_value(estimate.value, unit) if system.kind == "baseline" else print_estimate(estimate, unit)
