"""Figures as people read them: shares as per cent, three words for one p value, a dash for what isn't defined."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from radbridge.evaluation.measure import Unit
from radbridge.evaluation.resample import Estimate

NOTHING = "–"
_FORMS: Mapping[Unit, Callable[[float], str]] = {
    "%": lambda value: f"{100 * value:.1f}",
    "words": lambda value: f"{value:.1f}",
    "count": lambda value: f"{value:.2f}",
    "ratio": lambda value: f"{value:.2f}",
}
_SMALLEST_P = 0.001
_ROUND_P = 0.1
_STEP = 1024.0


def print_value(value: float | None, unit: Unit) -> str:
    """One figure, without its unit."""
    return NOTHING if value is None else _FORMS[unit](value).replace("-", "−")


def print_span(estimate: Estimate, unit: Unit) -> str:
    """The interval; empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{print_value(estimate.low, unit)}, {print_value(estimate.high, unit)}]"


def print_estimate(estimate: Estimate, unit: Unit) -> str:
    """The figure and its interval."""
    return f"{print_value(estimate.value, unit)} {print_span(estimate, unit)}".rstrip()


def print_change(value: float | None, unit: Unit) -> str:
    """A difference with its sign."""
    sign = "+" if value is not None and value > 0 else ""
    return sign + print_value(value, unit)


def print_difference(estimate: Estimate, unit: Unit) -> str:
    """A difference with its sign, and its interval."""
    return f"{print_change(estimate.value, unit)} {print_span(estimate, unit)}".rstrip()


def print_p(p: float | None) -> str:
    """`p = 0.4`, `p = 0.032`, `p < 0.001`."""
    if p is None:
        return f"p {NOTHING}"
    if p < _SMALLEST_P:
        return f"p < {_SMALLEST_P}"
    return f"p = {p:.1f}" if p >= _ROUND_P else f"p = {p:.3f}"


def print_bytes(amount: float) -> str:
    """Mebibytes, or gibibytes from 1 GiB on."""
    mebi = amount / _STEP**2
    return f"{mebi / _STEP:.1f} GiB" if mebi >= _STEP else f"{mebi:.0f} MiB"


def print_seconds(seconds: float) -> str:
    """Seconds, or minutes from two minutes on."""
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.1f} s"
