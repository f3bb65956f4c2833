"""The breaker and the windows, by a given clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.config.delivery import Delivery, parse_window
from radbridge.flow.breaker import LONGEST_S, Breaker
from radbridge.flow.windows import Windows
from radbridge.journal.destinations import Health

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BREAKER = Breaker(after=3, first_s=30)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def fail(health: Health, at: datetime) -> Health:
    return BREAKER.failed(health, at, answered=False)


def test_so_many_in_a_row_open_it() -> None:
    """Three sends without a yes open the breaker, two don't, and a yes between them begins the count anew."""
    health = fail(fail(Health(), NOW), NOW)
    assert BREAKER.wait_s(health, NOW, fresh=False) == 0
    assert BREAKER.wait_s(fail(BREAKER.said_yes(health, NOW), NOW), NOW, fresh=False) == 0
    assert BREAKER.wait_s(fail(health, NOW), NOW, fresh=False) == 30


def test_one_probe_at_a_time() -> None:
    """Once the stop is over one send is claimed; nobody else gets one until that one has come to something."""
    opened = fail(fail(fail(Health(), NOW), NOW), NOW)
    assert BREAKER.claim(opened, after(29), fresh=False) is None
    claimed = BREAKER.claim(opened, after(30), fresh=False)
    assert claimed is not None
    assert BREAKER.claim(claimed, after(31), fresh=False) is None
    assert BREAKER.said_yes(claimed, after(31)) == Health(answered_at=after(31))
    assert BREAKER.claim(BREAKER.unreached(claimed, after(31)), after(31), fresh=False) is not None


def test_longer_each_time() -> None:
    """Each failed probe doubles the stop, up to a quarter of an hour; answers are remembered, silence isn't one."""
    health, stops = fail(fail(fail(Health(), NOW), NOW), NOW), []
    for _ in range(7):
        stops.append(health.breaker_s)
        health = fail(health, NOW)
    assert stops == [30, 60, 120, 240, 480, LONGEST_S, LONGEST_S]
    assert health.answered_at is None
    assert BREAKER.failed(health, after(5), answered=True).answered_at == after(5)


def test_a_message_that_was_never_tried() -> None:
    """However long the stop is, a message that was never tried may be tried 30 s after it began, and only one may."""
    health = fail(fail(fail(Health(), NOW), NOW), NOW)
    for _ in range(6):
        health = fail(health, NOW)
    assert BREAKER.wait_s(health, NOW, fresh=False) == LONGEST_S
    assert BREAKER.wait_s(health, NOW, fresh=True) == 30
    assert BREAKER.claim(health, after(29), fresh=True) is None
    claimed = BREAKER.claim(health, after(30), fresh=True)
    assert claimed is not None
    assert BREAKER.claim(claimed, after(31), fresh=True) is None


def test_a_clock_that_steps_back() -> None:
    """However far a clock is set back, nobody waits for longer than the stop was."""
    opened = fail(fail(fail(Health(), NOW), NOW), NOW)
    assert BREAKER.wait_s(opened, NOW - timedelta(days=1), fresh=False) == 30


@given(st.lists(st.tuples(st.sampled_from(["yes", "error", "silence", "nobody"]), st.floats(0, 2000)), max_size=40))
def test_never_more_probes_than_stops(events: list[tuple[str, float]]) -> None:
    """Whatever a destination does: while it is open no send is claimed, and a claim is always possible at its end."""
    health, now = Health(), NOW
    for said, seconds in events:
        now += timedelta(seconds=seconds)
        wait_s = BREAKER.wait_s(health, now, fresh=False)
        assert 0 <= wait_s <= LONGEST_S
        claimed = BREAKER.claim(health, now, fresh=False)
        assert (claimed is None) == (wait_s > 0)
        if claimed is None:
            assert BREAKER.claim(health, now + timedelta(seconds=wait_s), fresh=False) is not None
            continue
        match said:
            case "yes":
                health = BREAKER.said_yes(claimed, now)
            case "nobody":
                health = BREAKER.unreached(claimed, now)
            case _:
                health = BREAKER.failed(claimed, now, answered=said == "error")


ZURICH = ZoneInfo("Europe/Zurich")


@pytest.mark.parametrize(
    ("told", "at", "wait_h"),
    [
        pytest.param(["Mon-Fri 07:00-19:00"], datetime(2026, 3, 2, 8, tzinfo=ZURICH), 0, id="open"),
        pytest.param(["Mon-Fri 07:00-19:00"], datetime(2026, 3, 2, 19, tzinfo=ZURICH), 12, id="just closed"),
        pytest.param(["Mon-Fri 07:00-19:00"], datetime(2026, 3, 6, 20, tzinfo=ZURICH), 59, id="over the week-end"),
        pytest.param(["Fri-Mon 22:00-06:00"], datetime(2026, 3, 7, 5, tzinfo=ZURICH), 0, id="since yesterday"),
        pytest.param(["Fri-Mon 22:00-06:00"], datetime(2026, 3, 7, 6, tzinfo=ZURICH), 16, id="over in the morning"),
        pytest.param(["Sat 00:00-24:00"], datetime(2026, 3, 7, 23, 59, tzinfo=ZURICH), 0, id="whole day"),
        pytest.param(["Sat 08:00-09:00", "Sun 08:00-09:00"], datetime(2026, 3, 7, 9, tzinfo=ZURICH), 23, id="two"),
        pytest.param(["Sun 08:00-09:00"], datetime(2026, 3, 28, 9, tzinfo=ZURICH), 22, id="an hour is skipped"),
        pytest.param(["Sun 08:00-09:00"], datetime(2026, 10, 24, 9, tzinfo=ZURICH), 24, id="an hour comes twice"),
        pytest.param(["Sun 02:30-03:10"], datetime(2026, 3, 29, 1, tzinfo=ZURICH), 168.5, id="it doesn't exist today"),
        pytest.param([], datetime(2026, 3, 7, tzinfo=ZURICH), 0, id="none"),
    ],
)
def test_windows(told: list[str], at: datetime, wait_h: float) -> None:
    """Hours by the wall clock of the site's place, over midnight, week-ends and the days when clocks change."""
    assert Windows(told, "Europe/Zurich").wait_s(at.astimezone(UTC)) == wait_h * 3600


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - made aware
def test_a_window_opens_when_it_says(now: datetime) -> None:
    """After the seconds that it tells to wait, a window is open."""
    windows = Windows(["Tue,Thu 23:30-01:15", "Sun 02:30-03:10"], "Europe/Zurich")
    wait_s = windows.wait_s(now)
    assert 0 <= wait_s < 14 * 86400
    assert windows.wait_s(now + timedelta(seconds=wait_s)) == 0


@pytest.mark.parametrize("text", ["", "Mon", "Mon 7-19", "Mon-Foo 07:00-19:00", "Mon 25:00-26:00", "Mon 07:00 19:00"])
def test_windows_that_are_none(text: str) -> None:
    """What is no window is an error that shows the form."""
    with pytest.raises(ValueError, match="such as"):
        parse_window(text)
    with pytest.raises(ValueError, match="such as"):
        Delivery(window=(text,))
