"""The sequential test by betting."""

from __future__ import annotations

import math
from itertools import product
from random import Random
from statistics import fmean

from hypothesis import given
from hypothesis import strategies as st

from radbridge.trials.betting import e_values

DIFFERENCES = st.lists(st.floats(-1.0, 1.0), max_size=40)


@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=8), st.sampled_from((0.25, 1.0)))
def test_expects_no_win_of_exchangeable_pairs(differences: list[float], scale: float) -> None:
    """Over all ways to exchange the two of each pair, the e-value is 1 on average, so chance alone never raises it."""
    exchanged = product(*((d, -d) for d in differences))
    assert math.isclose(fmean(list(e_values(signs, scale=scale))[-1] for signs in exchanged), 1.0, rel_tol=1e-9)


@given(DIFFERENCES, st.integers(0, 40))
def test_later_differences_change_no_earlier_value(differences: list[float], looked: int) -> None:
    """What is read early is what is read of the same pairs later."""
    assert list(e_values(differences[:looked], scale=0.25)) == list(e_values(differences, scale=0.25))[:looked]


@given(DIFFERENCES.filter(bool), st.integers(0, 39), st.floats(0.0, 0.5))
def test_a_worse_report_is_never_less_evidence(differences: list[float], place: int, more: float) -> None:
    """Where one difference grows, the evidence doesn't shrink."""
    worse = list(differences)
    worse[place % len(worse)] += more
    assert list(e_values(worse, scale=0.25))[-1] >= list(e_values(differences, scale=0.25))[-1] * (1 - 1e-12)


def test_a_history_of_any_length_is_a_number() -> None:
    """Thousands of reports that say the same neither overflow nor fail."""
    *_, sure = e_values([1.0] * 5_000, scale=0.25)
    *_, never = e_values([-1.0] * 5_000, scale=0.25)
    assert sure > 1e300
    assert 0 <= never < 1e-200


def test_chance_alone_seldom_gets_far() -> None:
    """Of a thousand trials of equals, looked at after each of 200 pairs, at most one in twenty ever reaches 20."""
    rng = Random(8)
    reached = sum(
        any(e >= 20 for e in e_values((rng.gauss(0.0, 0.15) - rng.gauss(0.0, 0.15) for _ in range(200)), scale=0.25))
        for _ in range(1_000)
    )
    assert reached <= 50
