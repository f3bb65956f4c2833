"""When a caller who was turned away may come back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from radbridge_model_server.drafts.pace import Pace
from radbridge_model_server.engines.engine import EngineStats
from tests.support.serving import Clock


def stats(generated: int, *, queued: int = 0, running: int = 0) -> EngineStats:
    return EngineStats(
        queued=queued, running=running, generated=generated, batches=0, tokens=0, late=0, overloaded=0, loras=()
    )


@given(st.floats(0.5, 200), st.integers(1, 500), st.integers(0, 64))
def test_the_wait_is_what_the_queue_takes_at_the_measured_pace(rate: float, queued: int, running: int) -> None:
    """Seconds are prompts in the engine by prompts a second of late, a minute at most."""
    clock = Clock()
    pace = Pace(clock)
    for tenth in range(200):
        clock.now = 1000 + tenth / 10
        pace.note(stats(round(rate * tenth / 10)))
    expected = min(60.0, (queued + running) / rate)
    told = pace.drain_s(stats(round(rate * 19.9), queued=queued, running=running))
    assert abs(told - expected) <= 0.1 * expected + 0.1


def test_an_engine_that_slows_down_is_noticed() -> None:
    """Only the last seconds count."""
    clock = Clock()
    pace = Pace(clock)
    for second, generated in ((0, 0), (10, 1000), (20, 1010), (30, 1020), (40, 1030)):
        clock.now = 1000.0 + second
        pace.note(stats(generated))
    assert 9 <= pace.drain_s(stats(1030, queued=10)) <= 11


def test_without_a_measure_there_is_none() -> None:
    """Before the first draft, and when nothing gets done, there is no pace to tell."""
    clock = Clock()
    pace = Pace(clock)
    assert pace.drain_s(stats(0, queued=5)) == 0
    clock.now += 5
    assert pace.drain_s(stats(0, queued=5)) == 0
