"""Whose turn it is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from radbridge.flow.turns import Turns

BEGAN = datetime(2026, 11, 22, tzinfo=UTC)
AHEAD = timedelta(seconds=30)


@dataclass(frozen=True)
class Waiting:
    """Somebody in a line."""

    came: datetime
    urgent: bool


def serve(arrivals: list[Waiting], *, every: timedelta) -> list[Waiting]:
    """The order in which one desk takes them, which takes one each `every`."""
    turns = Turns[Waiting](since=lambda w: w.came, ahead=AHEAD)
    coming = deque(sorted(arrivals, key=lambda w: w.came))
    urgent, other = deque[Waiting](), deque[Waiting]()
    served: list[Waiting] = []
    now = BEGAN
    while len(served) < len(arrivals):
        while coming and coming[0].came <= now:
            (urgent if coming[0].urgent else other).append(coming.popleft())
        if (taken := turns.take(urgent, other)) is not None:
            served.append(taken)
        now += every
    return served


arrivals = st.lists(
    st.builds(Waiting, came=st.integers(0, 300).map(lambda s: BEGAN + timedelta(seconds=s)), urgent=st.booleans()),
    max_size=60,
)


@given(arrivals, st.integers(1, 20).map(lambda s: timedelta(seconds=s)))
def test_nobody_is_overtaken_by_who_came_much_later(waiting: list[Waiting], every: timedelta) -> None:
    """However many urgent ones come, each other one is overtaken only by those of the 30 s after it."""
    served = serve(waiting, every=every)
    for place, who in enumerate(served):
        for earlier in served[:place]:
            if earlier.came > who.came:
                assert earlier.urgent
                assert not who.urgent
                assert earlier.came - who.came <= AHEAD


@given(arrivals)
def test_an_urgent_one_goes_before_what_waits_at_its_side(waiting: list[Waiting]) -> None:
    """Of those that came within 30 s and all wait, the urgent ones go first."""
    now = [Waiting(came=BEGAN + (w.came - BEGAN) / 10, urgent=w.urgent) for w in waiting]
    turns = Turns[Waiting](since=lambda w: w.came, ahead=AHEAD)
    lines = [deque(sorted((w for w in now if w.urgent is u), key=lambda w: w.came)) for u in (True, False)]
    served = [turns.take(*lines) for _ in now]
    assert [w.urgent for w in served if w] == sorted((w.urgent for w in now), reverse=True)
    assert turns.take(*lines) is None
