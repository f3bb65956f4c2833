"""The curves of a run: edit distance, drafts signed as they are and flags, by round, a line for each way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.bench.loop.arms import Arm
from tests.bench.loop.figures import Figure

PICTURE = "loop.svg"
_MARKERS = "os^vDP*"
_DASHED = {Arm.NONE: ":", Arm.PERFECT: ":"}
_APART = 0.05
"""Between the ways' dots, in rounds."""


def draw(figures: Sequence[Figure], folder: Path) -> None:
    """`loop.svg` into `folder`. Edit distance has a logarithmic axis: no learning is far from all the others."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "radbridge"  # the same figures make the same file
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(9.6, 5.0), layout="constrained")
    left, middle, right = canvas.subplots(1, 3, width_ratios=(3, 2, 2))
    rounds = sorted({figure.round for figure in figures})
    for number, arm in enumerate(Arm):
        own = [figure for figure in figures if figure.arm == arm]
        shift = (number - len(Arm) / 2) * _APART
        how = {"marker": _MARKERS[number], "markersize": 5, "linestyle": _DASHED.get(arm, "-"), "label": str(arm)}
        spans = ([f.distance - f.low for f in own], [f.high - f.distance for f in own])
        left.errorbar([f.round + shift for f in own], [f.distance for f in own], yerr=spans, elinewidth=0.8, **how)
        _line(middle, own, lambda f: 100 * f.accepted, how)
        _line(right, own, lambda f: f.flags, how)
    left.set_yscale("log")
    ticks = (0.02, 0.03, 0.05, 0.1, 0.2, 0.4)
    left.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    left.set_yticks([], minor=True)
    titles = ("edit distance (95 %)", "signed as they are, %", "guard flags a draft")
    for axes, title in zip((left, middle, right), titles, strict=True):
        axes.set_title(title, fontsize=10)
        axes.set_xticks(rounds, [f"round {number}" for number in rounds])
        axes.grid(axis="y", alpha=0.3)
    for axes in (middle, right):
        axes.set_ylim(bottom=0)
    canvas.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    folder.mkdir(parents=True, exist_ok=True)
    canvas.savefig(folder / PICTURE, metadata={"Date": None})


def _line(axes: Any, own: Sequence[Figure], value: Callable[[Figure], float], how: dict[str, Any]) -> None:
    axes.plot([figure.round for figure in own], [value(figure) for figure in own], **how)
