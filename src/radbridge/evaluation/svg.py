"""Plots as SVG: values with their intervals along one axis, a row for each thing that was measured.

Colours come from CSS variables, so that one drawing serves a light page, a dark one and paper; each series has a shape
of its own too. Equal figures make equal bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import count, takewhile

from radbridge.evaluation.markup import escape_text

_WIDTH = 720.0
_LINE = 14.0
_GAP = 12.0
_TOP = 8.0
_AXIS = 26.0
_LETTER = 7.2
_LABEL_MOST = 32
_NOTE_LETTER = 6.2
_TICKS = 6
_STEPS = (1, 2, 2.5, 5, 10)
_SAME = 1e-9
_SIZE = 4.0

SHAPES = ("circle", "square", "diamond", "triangle", "ring", "bar", "cross", "frame")
"""One for each series; from the ninth on they begin again, in other colours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One value, with the interval around it where there is one."""

    value: float
    low: float | None = None
    high: float | None = None
    series: int = 0
    strong: bool = False
    """Called out: drawn larger, with a ring."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One thing that was measured. Marks whose value isn't finite aren't drawn."""

    label: str
    marks: tuple[Mark, ...]
    note: str = ""
    """What stands at the right of it."""

    @property
    def drawn(self) -> tuple[Mark, ...]:
        return tuple(mark for mark in self.marks if math.isfinite(mark.value))


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Where the plot lies in the picture, and which values it spans."""

    left: float
    right: float
    low: float
    high: float

    def place(self, value: float) -> float:
        """The x of `value`, at the edge for what lies outside."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.left + share * (self.right - self.left)


def draw_rows(
    rows: Sequence[Row], *, title: str, from_zero: bool = False, zero_line: bool = False, key: Sequence[str] = ()
) -> str:
    """One `<svg>` with a line for each mark of each row.

    `title` is what a screen reader says. `zero_line` draws a line at 0, for differences. With a `key`, the names of the
    series, it is a file of its own with its colours inside. Nothing to draw gives an empty text.
    """
    marks = [mark for row in rows for mark in row.drawn]
    if not marks:
        return ""
    frame, ticks = _frame(rows, marks, from_zero=from_zero or zero_line)
    names, top = _legend(key)
    bottom = top + sum(map(_row_height, rows))
    height = bottom + _AXIS
    paper = [f'<rect class="paper" width="{_WIDTH:g}" height="{height:g}"/>'] if key else []
    body = [*paper, *names, *_axis(frame, ticks, top, bottom, zero_line=zero_line)]
    for row in rows:
        body += _row(row, frame, top)
        top += _row_height(row)
    style = f"<style>{read_beside('plot.css')}</style>" if key else ""
    space = ' xmlns="http://www.w3.org/2000/svg"' if key else ""
    said = escape_text(title)
    return (
        f'<svg{space} class="plot" viewBox="0 0 {_WIDTH:g} {height:g}" width="{_WIDTH:g}" height="{height:g}" '
        f'role="img" aria-label="{said}">{style}<title>{said}</title>{"".join(body)}</svg>'
    )


def draw_key(series: int) -> str:
    """The mark of a series, small, for a legend."""
    return (
        f'<svg class="plot key" viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">'
        f"{_shape(7.0, 7.0, series, _SIZE)}</svg>"
    )


def choose_ticks(low: float, high: float) -> list[float]:
    """Round values that span `low` to `high`, at most eight of them."""
    if high - low <= _SAME * max(1.0, abs(low)):
        high = low + max(1.0, abs(low))
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * step for step in _STEPS if power * step >= rough * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    numbers = takewhile(lambda n: (n - 1) * step < high - step * 1e-9, count(first))
    return [round(n * step, 10) + 0.0 for n in numbers]


def read_beside(name: str) -> str:
    """One of the text files beside this one."""
    return files("radbridge.evaluation").joinpath(name).read_text(encoding="utf-8")


def _frame(rows: Sequence[Row], marks: Sequence[Mark], *, from_zero: bool) -> tuple[Frame, list[float]]:
    edges = (edge for mark in marks for edge in (mark.value, mark.low, mark.high))
    values = [edge for edge in edges if edge is not None and math.isfinite(edge)] + [0.0] * from_zero
    ticks = choose_ticks(min(values), max(values))
    left = 12 + _LETTER * min(_LABEL_MOST, max(len(row.label) for row in rows))
    right = _WIDTH - 16 - _NOTE_LETTER * max(len(row.note) for row in rows)
    return Frame(left=left, right=right, low=ticks[0], high=ticks[-1]), ticks


def _row_height(row: Row) -> float:
    return _LINE * max(1, len(row.marks)) + _GAP


def _legend(key: Sequence[str]) -> tuple[list[str], float]:
    """The names of the series beside their marks, in as many lines as they need, and where the rows begin."""
    drawn, x, y = [], 12.0, _TOP + 6
    for series, name in enumerate(key):
        width = 20 + _LETTER * len(name)
        if x > 12 and x + width > _WIDTH:
            x, y = 12.0, y + _LINE + 4
        drawn.append(f'{_shape(x, y, series, _SIZE)}<text class="label" x="{x + 10:.1f}" y="{y + 4:.1f}">')
        drawn.append(f"{escape_text(name)}</text>")
        x += width + 12
    return drawn, y + _LINE if key else _TOP


def _axis(frame: Frame, ticks: Sequence[float], top: float, bottom: float, *, zero_line: bool) -> Iterator[str]:
    for tick in ticks:
        x = frame.place(tick)
        kind = "zero" if zero_line and tick == 0 else "grid"
        yield f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:.1f}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">{tick:g}</text>'


def _row(row: Row, frame: Frame, top: float) -> Iterator[str]:
    middle = top + _LINE * max(1, len(row.marks)) / 2
    label = escape_text(row.label if len(row.label) <= _LABEL_MOST else row.label[: _LABEL_MOST - 1] + "…")
    yield f'<text class="label" x="{frame.left - 8:.1f}" y="{middle + 4:.1f}" text-anchor="end">{label}</text>'
    if row.note:
        yield f'<text class="note" x="{frame.right + 10:.1f}" y="{middle + 4:.1f}">{escape_text(row.note)}</text>'
    for place, mark in enumerate(row.marks):
        if math.isfinite(mark.value):
            yield from _mark(mark, frame, top + _LINE * (place + 0.5))


def _mark(mark: Mark, frame: Frame, y: float) -> Iterator[str]:
    if mark.low is not None and mark.high is not None and math.isfinite(mark.low + mark.high):
        a, b = frame.place(mark.low), frame.place(mark.high)
        yield f'<path class="s{mark.series % 8} span" d="M{a:.1f} {y - 3:.1f}v6M{a:.1f} {y:.1f}H{b:.1f}m0 -3v6"/>'
    x = frame.place(mark.value)
    if mark.strong:
        yield f'<circle class="strong" cx="{x:.1f}" cy="{y:.1f}" r="{_SIZE + 4:g}"/>'
    yield _shape(x, y, mark.series, _SIZE)


def _shape(x: float, y: float, series: int, size: float) -> str:
    """Every series has its own shape: colours alone don't reach everybody, nor every printer."""
    kind, r = f"s{series % 8}", size
    paths = {
        "square": f"M{x - r:.1f} {y - r:.1f}h{2 * r:g}v{2 * r:g}h{-2 * r:g}z",
        "diamond": f"M{x:.1f} {y - r - 1:.1f}l{r + 1:g} {r + 1:g}l{-r - 1:g} {r + 1:g}l{-r - 1:g} {-r - 1:g}z",
        "triangle": f"M{x:.1f} {y - r:.1f}l{r:g} {2 * r:g}h{-2 * r:g}z",
        "bar": f"M{x - r / 2:.1f} {y - r - 1:.1f}h{r:g}v{2 * r + 2:g}h{-r:g}z",
        "cross": f"M{x - r:.1f} {y - r:.1f}l{2 * r:g} {2 * r:g}m0 {-2 * r:g}l{-2 * r:g} {2 * r:g}",
        "frame": f"M{x - r:.1f} {y - r:.1f}h{2 * r:g}v{2 * r:g}h{-2 * r:g}z",
    }
    shape = SHAPES[series % len(SHAPES)]
    hollow = " hollow" if shape in ("ring", "cross", "frame") else ""
    if shape in paths:
        return f'<path class="{kind} mark{hollow}" d="{paths[shape]}"/>'
    return f'<circle class="{kind} mark{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="{r:g}"/>'
