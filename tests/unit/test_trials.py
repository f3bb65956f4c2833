"""Trials: what a version's outcomes say beside those of what it is held to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.config.training import Trial
from radbridge.trials import Decision, Outcome, Phase, read_trial
from radbridge.trials.pairs import pair_after, pair_beside

RULES = Trial()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def outcome(number: int, distance: float = 0.1, version: str = "old", *, faulty: bool = False) -> Outcome:
    """One signed report."""
    at = NOON + timedelta(minutes=number)
    return Outcome(number=number, version=version, at=at, distance=distance, faulty=faulty)


def row(first: int, distances: Sequence[float], version: str, step: int = 1) -> list[Outcome]:
    """Signed reports, one after the other."""
    return [outcome(first + step * n, d, version) for n, d in enumerate(distances)]


SIDES = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=60)


def split(sides: Sequence[tuple[bool, float]]) -> tuple[list[Outcome], list[Outcome]]:
    """Outcomes of the new version and of the old one, in the order in which they came."""
    all_of_them = [(is_new, outcome(n, d, "new" if is_new else "old")) for n, (is_new, d) in enumerate(sides)]
    return [o for is_new, o in all_of_them if is_new], [o for is_new, o in all_of_them if not is_new]


@given(SIDES, st.integers(0, 60))
def test_a_pair_once_made_stays(sides: list[tuple[bool, float]], looked: int) -> None:
    """The pairs of the reports so far are the first of the pairs of all reports, and none is used twice."""
    early, late = pair_beside(*split(sides[:looked])), pair_beside(*split(sides))
    assert late[: len(early)] == early
    assert len(late) == min(sum(is_new for is_new, _ in sides), sum(not is_new for is_new, _ in sides))
    used = [o.number for pair in late for o in pair]
    assert len(used) == len(set(used))
    assert all((n.version, o.version) == ("new", "old") for n, o in late)


@given(SIDES, st.lists(st.integers(0, 60)))
def test_it_does_not_matter_when_it_is_looked_at(sides: list[tuple[bool, float]], looks: list[int]) -> None:
    """Whoever looks after every report, and whoever looks once in a while, decides the same of the same pairs."""
    at_the_end = read_trial(*split(sides), RULES, Phase.TRIAL)
    for looked in looks:
        reading = read_trial(*split(sides[:looked]), RULES, Phase.TRIAL)
        if reading.decision is not Decision.WAIT:
            assert reading == at_the_end


def test_after_a_promotion_the_last_before_it_is_the_measure() -> None:
    """The first outcome after a promotion stands beside the last before it, the second beside the one before that."""
    before, after = row(0, [0.1] * 130, "old"), row(200, [0.2] * 110, "new")
    pairs = pair_after(after, before)
    assert [(n.number, o.number) for n, o in pairs[:2]] == [(200, 129), (201, 128)]
    assert len(pairs) == 100


def test_a_worse_champion_is_taken_back() -> None:
    """A promoted version that has everything written anew is rolled back after a few reports, with the figures."""
    reading = read_trial(row(50, [0.6] * 30, "new"), row(0, [0.1, 0.0, 0.2] * 10, "old"), RULES, Phase.WATCH)
    assert reading.decision is Decision.ROLL_BACK
    assert 5 <= reading.pairs <= 15
    assert reading.reason.startswith(f"worse than before after {reading.pairs} pairs (harm ")
    assert "edit distance 0.600 against 0." in reading.reason


def test_faults_alone_are_seen() -> None:
    """A challenger whose texts are as near as before, but in error, is withdrawn."""
    old = row(0, [0.1] * 60, "old", step=2)
    new = [outcome(1 + 2 * n, 0.1, "new", faulty=n % 3 == 0) for n in range(60)]
    reading = read_trial(new, old, RULES, Phase.TRIAL)
    assert reading.decision is Decision.WITHDRAW
    assert reading.new_faulty > reading.old_faulty == 0.0


def test_a_challenger_that_does_no_worse_is_promoted() -> None:
    """A challenger that is a little nearer becomes champion, but not before the least number of pairs."""
    old, new = row(0, [0.15] * 40, "old", step=2), row(1, [0.10] * 40, "new", step=2)
    reading = read_trial(new, old, RULES, Phase.TRIAL)
    assert (reading.decision, reading.why) == (Decision.PROMOTE, "no worse")
    assert reading.pairs >= RULES.least


def test_a_trial_ends_undecided() -> None:
    """A challenger that is neither plainly worse nor plainly no worse is withdrawn at the last pair."""
    rules = Trial(most=30)
    old, new = row(0, [0.12] * 40, "old", step=2), row(1, [0.0, 0.3] * 20, "new", step=2)
    reading = read_trial(new, old, rules, Phase.TRIAL)
    assert (reading.decision, reading.why, reading.pairs) == (Decision.WITHDRAW, "undecided", 30)


@pytest.mark.parametrize("phase", Phase)
def test_nothing_is_decided_of_nothing(phase: Phase) -> None:
    """Without a pair there is no evidence."""
    assert read_trial(row(0, [0.9] * 30, "new"), [], RULES, phase).decision is Decision.WAIT


def test_a_promoted_version_is_watched_for_a_while() -> None:
    """What comes after the watch decides nothing any more."""
    before, after = row(0, [0.1] * 100, "old"), row(200, [0.1] * 10 + [0.9] * 90, "new")
    assert read_trial(after, before, Trial(watch=10), Phase.WATCH).decision is Decision.WAIT
    assert read_trial(after, before, Trial(watch=100), Phase.WATCH).decision is Decision.ROLL_BACK
