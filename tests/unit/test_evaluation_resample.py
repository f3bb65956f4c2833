"""Intervals and tests on rows of numbers whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from radbridge.evaluation import resample
from radbridge.evaluation.measure import ratio
from radbridge.evaluation.resample import compare, contrast, draw_sums, estimate, holm, interval, sum_rows

MEAN = ratio(1, 0)


def rows_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones(len(values)), values], axis=1)


def normal(mean: float, count: int, seed: int) -> NDArray[np.float64]:
    return rows_of(np.random.default_rng(seed).normal(mean, 1.0, count))


def test_the_interval_of_a_mean_is_the_textbooks() -> None:
    """A mean's bootstrap interval is close to mean ± 1.96 standard errors."""
    rows = normal(3.0, 400, seed=1)
    found = estimate(rows, MEAN)
    error = 1.96 * rows[:, 1].std() / 20
    assert found.value == pytest.approx(rows[:, 1].mean())
    assert (found.low, found.high) == pytest.approx((found.value - error, found.value + error), abs=0.02)


def test_equal_seeds_give_equal_draws_and_other_seeds_others() -> None:
    """Draws depend on the seed alone, whatever the blocks that they are made in."""
    rows = normal(0.0, 50, seed=2)
    one, again, other = (draw_sums(rows, draws=40, seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_long_tables_are_weighed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks and pieces change nothing: the same reports are drawn and the same sums come out."""
    rows = normal(0.0, 300, seed=3).astype(np.float32)
    whole = draw_sums(rows, draws=20, seed=1)
    monkeypatch.setattr(resample, "_CELLS", 700)
    monkeypatch.setattr(resample, "_CHUNK", 64)
    assert np.allclose(draw_sums(rows, draws=20, seed=1), whole)


def test_two_systems_that_are_one_do_not_differ() -> None:
    """A system beside itself differs by nothing, with p = 1."""
    rows = normal(0.5, 80, seed=4)
    found = compare(rows, rows, MEAN)
    assert (found.difference.value, found.difference.low, found.difference.high) == (0.0, 0.0, 0.0)
    assert found.p == 1.0


def test_a_clear_difference_is_found_and_keeps_its_sign() -> None:
    """Two systems half a standard deviation apart on 200 reports differ significantly, in the order given."""
    one, other = normal(0.5, 200, seed=5), normal(0.0, 200, seed=6)
    found, turned = compare(one, other, MEAN), compare(other, one, MEAN)
    assert found.p is not None
    assert found.p < 0.01
    assert found.difference.value is not None
    assert found.difference.value > 0.2
    assert found.difference.low is not None
    assert found.difference.low > 0
    assert turned.difference.value == pytest.approx(-found.difference.value)


def test_the_paired_test_is_calibrated() -> None:
    """Where there is no difference, p is below 0.1 in about a tenth of the cases."""
    found = [compare(normal(0, 40, seed=s), normal(0, 40, seed=1000 + s), MEAN, draws=200).p or 0 for s in range(100)]
    assert 0.03 < np.mean(np.array(found) < 0.1) < 0.2


def test_a_group_that_is_served_worse_is_found() -> None:
    """Reports of a group with lower numbers differ from the rest; a group drawn at random doesn't."""
    values = normal(0.0, 300, seed=9)
    inside = np.arange(300) < 60
    values[inside, 1] -= 1.0
    anyone = np.random.default_rng(3).random(300) < 0.3
    [found] = contrast([(values, MEAN)], inside)
    assert found.difference.value == pytest.approx(values[inside, 1].mean() - values[~inside, 1].mean())
    assert found.p is not None
    assert found.p < 0.01
    [chance] = contrast([(values, MEAN)], anyone)
    assert chance.p is not None
    assert chance.p > 0.05


def test_a_large_difference_is_significant_among_many_tests() -> None:
    """Of 20,000 reports a group that is far worse stays significant after a correction for 500 tests."""
    values = rows_of((np.random.default_rng(5).random(20_000) < 0.6).astype(float))
    inside = np.arange(20_000) < 6_000
    values[inside, 1] *= np.random.default_rng(6).random(6_000) < 0.8
    [found] = contrast([(values, MEAN)], inside, draws=1_000)
    paired = compare(values, values[np.random.default_rng(7).permutation(20_000)], MEAN, draws=200)
    assert found.p is not None
    assert holm([found.p] + [0.5] * 499)[0] < 0.01
    assert paired.p is not None
    assert paired.p > 0.5


def test_rare_events_in_a_small_group_keep_the_floor_of_their_draws() -> None:
    """Where what is drawn is far from even, its tail isn't taken for normal: p stays what the draws say."""
    values = rows_of(np.zeros(2_000))
    values[:4, 1] = 1.0
    values[-8:, 1] = 1.0
    [found] = contrast([(values, MEAN)], np.arange(2_000) < 40, draws=1_000)
    assert found.p is not None
    assert found.p >= 1 / 1_001
    even = compare(rows_of(np.ones(60)), rows_of(np.zeros(60)), MEAN, draws=1_000)
    assert even.p is not None
    assert even.p < 1e-6


def test_heavy_tails_are_not_taken_for_normal() -> None:
    """Draws that are mostly nothing and seldom much keep their floor, though they are even."""
    rng = np.random.default_rng(2)
    drawn = np.where(rng.random(2_000) < 0.95, 0.0, rng.uniform(-1, 1, 2_000))
    assert resample._tell_p(1.5, drawn) == 1 / 2_001  # noqa: SLF001 - no table of rows gives just these draws
    assert resample._tell_p(6.0, rng.normal(0, 1, 2_000)) < 1e-6  # noqa: SLF001


def test_groups_of_one_size_are_drawn_apart() -> None:
    """Two groups of equal size and equal order have an interval of their difference, not a point."""
    values = np.sort(np.random.default_rng(1).normal(0, 1, 200))
    rows = rows_of(np.concatenate([values, values]))
    [found] = contrast([(rows, MEAN)], np.arange(400) < 200, draws=50)
    assert found.difference.low is not None
    assert found.difference.high is not None
    assert found.difference.low < -0.1
    assert found.difference.high > 0.1


def test_what_is_not_defined_is_none() -> None:
    """A mean of no reports has no value, no interval and no p."""
    rows = np.zeros((10, 2))
    assert estimate(rows, MEAN).value is None
    assert compare(rows, rows, MEAN).p is None
    assert interval(float("nan"), np.array([1.0])).low is None
    assert np.isnan(MEAN(sum_rows(rows)))


def test_holms_correction_of_a_known_case() -> None:
    """Four p values come out as by hand, in the order given."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_never_lowers_a_p_and_keeps_their_order(p: list[float]) -> None:
    """A corrected p is at least the raw one, at most 1, and no smaller than that of a smaller raw one."""
    corrected = holm(p)
    assert all(raw <= fixed <= 1 for raw, fixed in zip(p, corrected, strict=True))
    ranked = [fixed for _, fixed in sorted(zip(p, corrected, strict=True))]
    assert ranked == sorted(ranked)
