"""What a measure is: a short row of numbers for each report, and figures that are functions of the rows' sums.

So an interval or a test is arithmetic on sums, and no text has to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from radbridge.evaluation.rows import Pair

Numbers = NDArray[np.float64]
Better = Literal["more", "less", "neither"]
"""Which way a figure improves."""
Unit = Literal["%", "words", "count", "ratio"]
"""How a figure is printed: a share as per cent, words, a mean count, a bare number."""
Part = Literal["text", "content", "guard", "edit", "style", "model"]
"""Where a figure stands: overlap of words, findings, flags, the signer's work, form, judged by a model."""
BATCH = 64
"""Pairs that a measure is given at once, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure of a measure."""

    name: str
    title: str
    estimate: Callable[[Numbers], Numbers]
    """From sums of rows, (..., width), to (...); NaN where it isn't defined."""
    better: Better = "more"
    unit: Unit = "%"
    part: Part = "model"


class Measure(Protocol):
    """Figures that are counted together."""

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int:
        """Numbers of a row."""

    @property
    def typecode(self) -> Literal["f", "B"]:
        """How `array` keeps its numbers: `B`, a byte each, where all are whole and below 256; else `f`."""

    @property
    def figures(self) -> Sequence[Figure]: ...

    def rows(self, pairs: Sequence[Pair]) -> Iterable[Sequence[float]]:
        """A row for each pair, in order. One of zeros changes nothing: the measure doesn't apply to that report."""


def ratio(over: int, under: int) -> Callable[[Numbers], Numbers]:
    """The figure that divides one column's sum by another's."""

    def divide(sums: Numbers) -> Numbers:
        return safe_divide(sums[..., over], sums[..., under])

    return divide


def safe_divide(over: Numbers, under: Numbers) -> Numbers:
    """A quotient, NaN where it would divide by zero."""
    return np.asarray(np.divide(over, under, out=np.full(np.broadcast(over, under).shape, np.nan), where=under != 0))
