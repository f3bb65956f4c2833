"""Recall of each kind against its aim, and beside it how often clean reports are flagged; for docs/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.guard.injector import KINDS
from tests.bench.guard.measure import Rate
from tests.bench.guard.table import AIMS, ALARM_AIM, ROWS, Figures

PICTURE = Path("docs/pictures/guard-recall.svg")
_MARKERS = "osD"
_APART = 0.22
"""Between the sources' dots, in rows."""


def draw(figures: Figures, place: Path = PICTURE) -> None:
    """Dots with 95 % intervals, a row for each kind; the aim is a tick. `critical` is never a false alarm."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "radbridge"  # the same figures make the same file
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for n, source in enumerate(figures.sources):
        shift = (n - (len(figures.sources) - 1) / 2) * _APART
        alarms = figures.false_alarms(source)
        recall = [(row, figures.recall(source, kind)[0]) for row, kind in enumerate(ROWS)]
        flagged = [(row, alarms[kind]) for row, kind in enumerate(ROWS) if kind in KINDS and kind != "critical"]
        _dots(left, recall, shift, label=source.value, marker=_MARKERS[n])
        _dots(right, flagged, shift, label=source.value, marker=_MARKERS[n])
    left.scatter([AIMS[kind] for kind in ROWS], range(len(ROWS)), marker="|", s=260, color="black", label="aim")
    right.axvline(ALARM_AIM, color="black", linewidth=1)
    left.set_yticks(range(len(ROWS)), [kind.replace("_", " ").replace("/", ", ") for kind in ROWS])
    left.set_xlabel("errors flagged with the right kind")
    right.set_xlabel("clean reports flagged (line: 3 %)")
    left.set_xlim(-0.02, 1.02)
    right.set_xlim(left=0)
    left.invert_yaxis()
    for axes in (left, right):
        axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        axes.grid(axis="x", alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    place.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(place, metadata={"Date": None})


def _dots(axes: Any, rates: list[tuple[int, Rate]], shift: float, *, label: str, marker: str) -> None:
    tried = [(row + shift, rate) for row, rate in rates if rate.total]
    low = [max(0.0, rate.share - rate.interval[0]) for _, rate in tried]
    high = [max(0.0, rate.interval[1] - rate.share) for _, rate in tried]
    axes.errorbar(
        [rate.share for _, rate in tried],
        [row for row, _ in tried],
        xerr=(low, high),
        fmt=marker,
        markersize=4,
        elinewidth=1,
        label=label,
    )
