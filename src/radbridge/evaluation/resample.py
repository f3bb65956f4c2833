"""How sure a figure is: bootstrap intervals, and tests by random exchange. All of it on sums of rows.

Equal seeds give equal answers, and two systems' bootstrap draws of one seed take the same reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Estimator = Callable[[Numbers], Numbers]

LEVEL = 0.95
"""Of the intervals."""
DRAWS = 1_000
"""Bootstrap samples."""
TEST_DRAWS = 10_000
"""Random exchanges of a test."""
LEAST_DRAWS = 500
"""Of a test beside however many reports."""
_EXCHANGED = 100_000_000
"""Reports that a test may exchange, over all its draws: seconds."""
_ENOUGH = 100
"""Exchanges as extreme as the truth after which a p value is known to within a fifth."""
_FEW = 10
"""Fewer draws as extreme as the truth than this say little about how rare it is."""
_SKEW, _KURTOSIS = 0.25, 1.0
"""Of what was drawn: up to these its tail is taken for normal."""
_CELLS = 4_000_000
"""Weights in memory at once."""
_CHUNK = 1 << 16


class RowsLike(Protocol):
    """Rows of numbers that are looked at piece by piece: an array, or what becomes one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, piece: slice, /) -> NDArray[Any]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure with its interval; None where it isn't defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """How one figure differs between two sets of drafts."""

    difference: Estimate
    """The first less the second."""
    p: float | None
    """Of a difference at least as large where there is none, two-sided; None where it isn't defined."""


def sum_rows(rows: RowsLike) -> Numbers:
    """The sum of all rows."""
    return _weigh(np.ones((1, len(rows))), rows).reshape(-1)


def draw_sums(rows: RowsLike, *, draws: int = DRAWS, seed: int = 0) -> Numbers:
    """Sums of `draws` samples of as many rows, taken with replacement: (draws, width)."""
    return draw_all([rows], draws=draws, seed=seed)[0]


def draw_all(columns: Sequence[RowsLike], *, draws: int = DRAWS, seed: int | Sequence[int] = 0) -> list[Numbers]:
    """`draw_sums` of several columns of the same reports, from the same samples."""
    rng = np.random.default_rng(seed)
    count = len(columns[0])
    found = [np.zeros((draws, rows.shape[1])) for rows in columns]
    for start, stop in _blocks(draws, count):
        size = stop - start
        taken = rng.integers(0, count, (size, count)) + np.arange(size)[:, np.newaxis] * count
        weights = np.bincount(taken.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)
        for sums, rows in zip(found, columns, strict=True):
            sums[start:stop] = _weigh(weights, rows)
    return found


def interval(value: float, drawn: Numbers, *, level: float = LEVEL) -> Estimate:
    """A figure with the percentiles of its bootstrap draws."""
    if np.isnan(value):
        return Estimate(value=None)
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return Estimate(value=value)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value=value, low=float(low), high=float(high))


def estimate(rows: NDArray[np.generic], by: Estimator, *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """A figure of `rows` with its interval."""
    return interval(float(by(sum_rows(rows))), by(draw_sums(rows, draws=draws, seed=seed)))


def compare(
    one: NDArray[np.generic], other: NDArray[np.generic], by: Estimator, *, draws: int = TEST_DRAWS, seed: int = 0
) -> Comparison:
    """Two systems on the same reports: paired approximate randomization (Noreen 1989).

    Each draw exchanges the two rows of a random half of the reports.
    """
    total = sum_rows(one) + sum_rows(other)
    gap = one.astype(np.float64) - other.astype(np.float64)

    def exchange(rng: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
        signs = np.where(rng.integers(0, 2, size=(count, len(gap)), dtype=np.int8), 1.0, -1.0)
        moved = _weigh(signs, gap)
        return by((total + moved) / 2), by((total - moved) / 2)

    observed = float(by(sum_rows(one)) - by(sum_rows(other)))
    drawn = by(draw_sums(one, seed=seed)) - by(draw_sums(other, seed=seed))
    p = _test([observed], lambda rng, count: [exchange(rng, count)], len(gap), draws=draws, seed=seed)[0]
    return Comparison(difference=interval(observed, drawn), p=p)


def contrast(
    columns: Sequence[tuple[NDArray[np.generic], Estimator]],
    inside: NDArray[np.bool_],
    *,
    draws: int = TEST_DRAWS,
    seed: int = 0,
) -> list[Comparison]:
    """For each figure the reports `inside` a group less the rest, by random exchange of who is inside."""
    count, size = len(inside), int(inside.sum())
    totals = [sum_rows(rows) for rows, _ in columns]

    def exchange(rng: np.random.Generator, block: int) -> list[tuple[Numbers, Numbers]]:
        masks = np.zeros((block, count))
        np.put_along_axis(masks, rng.random((block, count)).argpartition(size - 1)[:, :size], 1.0, axis=1)
        picked = [_weigh(masks, rows) for rows, _ in columns]
        return [(by(sums), by(total - sums)) for (_, by), sums, total in zip(columns, picked, totals, strict=True)]

    observed = [float(by(sum_rows(rows[inside])) - by(sum_rows(rows[~inside]))) for rows, by in columns]
    found = _test(observed, exchange, count, draws=draws, seed=seed)
    # Two seeds: groups of one size would else draw the same places, and not be independent.
    within = draw_all([rows[inside] for rows, _ in columns], seed=[seed, 0])
    without = draw_all([rows[~inside] for rows, _ in columns], seed=[seed, 1])
    return [
        Comparison(difference=interval(value, by(sums) - by(others)), p=p)
        for (_, by), value, p, sums, others in zip(columns, observed, found, within, without, strict=True)
    ]


def holm(p: Sequence[float]) -> list[float]:
    """The p values corrected for how many they are (Holm 1979), in the order given."""
    corrected = [0.0] * len(p)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = largest
    return corrected


def choose_draws(reports: int) -> int:
    """Draws of a test: fewer beside more than 10,000 reports, so that its time has a bound. Its tail does the rest."""
    return max(LEAST_DRAWS, min(TEST_DRAWS, _EXCHANGED // max(1, reports)))


def _test(
    observed: Sequence[float],
    exchange: Callable[[np.random.Generator, int], Sequence[tuple[Numbers, Numbers]]],
    count: int,
    *,
    draws: int,
    seed: int,
) -> list[float | None]:
    """The p value of each observed difference. Ends early when each has been matched often enough to be known."""
    rng = np.random.default_rng(seed)
    gaps: list[list[Numbers]] = [[] for _ in observed]
    extreme = np.zeros(len(observed))
    for start, stop in _blocks(draws, count):
        for number, (first, second) in enumerate(exchange(rng, stop - start)):
            gaps[number].append(np.nan_to_num(first - second, nan=0.0))
            extreme[number] += _count_extreme(gaps[number][-1], observed[number])
        if np.all((extreme >= _ENOUGH) | np.isnan(observed)):
            break
    return [
        None if np.isnan(value) else _tell_p(value, np.concatenate(drawn))
        for value, drawn in zip(observed, gaps, strict=True)
    ]


def _tell_p(observed: float, drawn: Numbers) -> float:
    """The share of draws as extreme; where these are too few to count, by the normal tail of what was drawn.

    Draws alone can't tell a p below one in their number, and a correction for hundreds of tests would hide every
    difference. The tail is taken only where the draws look normal: those of rare events don't, and have more of it.
    """
    extreme, spread = _count_extreme(drawn, observed), float(drawn.std())
    counted = (1 + extreme) / (1 + len(drawn))
    if extreme >= _FEW or not spread:
        return counted
    if not _is_like_normal((drawn - drawn.mean()) / spread):
        return counted
    return min(counted, erfc(abs(observed - float(drawn.mean())) / spread / sqrt(2)))


def _is_like_normal(standard: Numbers) -> bool:
    """Whether numbers of mean 0 and variance 1 are about even, and have no heavier tails than those drawn normally."""
    return abs(float((standard**3).mean())) < _SKEW and abs(float((standard**4).mean()) - 3) < _KURTOSIS


def _count_extreme(drawn: Numbers, observed: float) -> int:
    return int(np.count_nonzero(np.abs(drawn) >= abs(observed) - 1e-12))


def _blocks(draws: int, count: int) -> list[tuple[int, int]]:
    size = max(1, min(512, _CELLS // max(1, count)))
    return [(start, min(draws, start + size)) for start in range(0, draws, size)]


def _weigh(weights: Numbers, rows: RowsLike) -> Numbers:
    """`weights @ rows`, with only a piece of the rows as long numbers at once."""
    found = np.zeros((len(weights), rows.shape[1]))
    for start in range(0, len(rows), _CHUNK):
        piece = slice(start, start + _CHUNK)
        found += weights[:, piece] @ rows[piece].astype(np.float64)
    return found
