"""Figures as people read them."""

from __future__ import annotations

import pytest

from radbridge.evaluation.measure import Unit
from radbridge.evaluation.printing import (
    print_bytes,
    print_change,
    print_difference,
    print_estimate,
    print_p,
    print_seconds,
    print_value,
)
from radbridge.evaluation.resample import Estimate


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.6237, "%", "62.4"),
        (12.34, "words", "12.3"),
        (0.666, "count", "0.67"),
        (1.0, "ratio", "1.00"),
        (None, "%", "–"),
    ],
)
def test_value(value: float | None, unit: Unit, text: str) -> None:
    """A share is per cent; what isn't defined is a dash."""
    assert print_value(value, unit) == text


def test_interval() -> None:
    """An interval stands behind its figure, a difference has its sign, and the sign of less is a minus."""
    gap = Estimate(value=-0.031, low=-0.05, high=0.01)

    assert print_estimate(Estimate(value=0.5), "%") == "50.0"
    assert print_difference(gap, "%") == "−3.1 [−5.0, 1.0]"
    assert print_change(0.031, "%") == "+3.1"
    assert print_change(None, "%") == "–"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0001, "p < 0.001"), (0.0324, "p = 0.032"), (0.42, "p = 0.4"), (1.0, "p = 1.0"), (None, "p –")]
)
def test_p(p: float | None, text: str) -> None:
    """A p value has the figures that count."""
    assert print_p(p) == text


def test_amounts() -> None:
    """Amounts are in the unit that a reader would take."""
    assert (print_seconds(7.26), print_seconds(500.0)) == ("7.3 s", "8.3 min")
    assert (print_bytes(300 << 20), print_bytes(3 << 29)) == ("300 MiB", "1.5 GiB")
