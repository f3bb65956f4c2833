"""Answers that are kept, and peers that are left alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.errors import DeliveryError, DeliveryFailed, DeliveryRefused
from radbridge_adapters.dicom.asking.cache import ALONE_S, NOTHING_S, Asking, Cache

FAILED = DeliveryFailed("pacs", "no answer")
REFUSED = DeliveryRefused("pacs", "no such class")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Peer:
    """Answers, or fails, as a list says."""

    def __init__(self, *outcomes: tuple[str, ...] | DeliveryError) -> None:
        self.outcomes = deque(outcomes)
        self.asked = 0

    async def __call__(self) -> tuple[str, ...]:
        self.asked += 1
        outcome = self.outcomes.popleft()
        if isinstance(outcome, DeliveryError):
            raise outcome
        return outcome


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pauses() -> list[int]:
    return []


@pytest.fixture
def asking(clock: Clock, pauses: list[int]) -> Asking[str]:
    async def pause(attempt: int) -> None:
        pauses.append(attempt)

    return Asking(name="pacs", retries=2, cache_s=600.0, pause=pause, clock=clock)


async def test_an_answer_holds(asking: Asking[str], clock: Clock) -> None:
    """An answer is given again without asking until its time is over; each question has its own."""
    peer = Peer(("a",), ("b",), ("c",))
    assert await asking.ask("1", peer) == ("a",)
    clock.now += 599
    assert await asking.ask("1", peer) == ("a",)
    assert await asking.ask("2", peer) == ("b",)
    clock.now += 2
    assert await asking.ask("1", peer) == ("c",)
    assert await asking.ask("2", peer) == ("b",)


async def test_nothing_holds_for_a_minute(asking: Asking[str], clock: Clock) -> None:
    """That a peer knows nothing is believed for a minute only."""
    peer = Peer((), ("a",))
    assert await asking.ask("1", peer) == ()
    clock.now += NOTHING_S - 1
    assert await asking.ask("1", peer) == ()
    clock.now += 2
    assert await asking.ask("1", peer) == ("a",)


async def test_a_failure_is_asked_again(asking: Asking[str], pauses: list[int]) -> None:
    """A question is put again as often as the site says, with a pause before each."""
    assert await asking.ask("1", Peer(FAILED, FAILED, ("a",))) == ("a",)
    assert pauses == [1, 2]
    assert not asking.is_left_alone


@pytest.mark.parametrize(("outcomes", "asked"), [((FAILED,) * 3, 3), ((REFUSED,), 1), ((FAILED, REFUSED), 2)])
async def test_a_peer_is_left_alone(
    asking: Asking[str], clock: Clock, outcomes: Iterable[DeliveryError], asked: int
) -> None:
    """After its retries, or a refusal at once, a peer is asked nothing for a while; what it said before still holds."""
    await asking.ask("known", Peer(("k",)))
    peer = Peer(*outcomes, ("a",))
    with pytest.raises(DeliveryError):
        await asking.ask("1", peer)
    assert peer.asked == asked
    with pytest.raises(DeliveryFailed, match="left alone") as caught:
        await asking.ask("2", peer)
    assert not caught.value.sent
    assert peer.asked == asked
    assert await asking.ask("known", peer) == ("k",)
    clock.now += ALONE_S
    assert await asking.ask("1", peer) == ("a",)


async def test_no_cache(clock: Clock) -> None:
    """With `cache_s = 0` every question is asked."""

    async def pause(attempt: int) -> None:
        raise AssertionError(attempt)

    asking: Asking[str] = Asking(name="pacs", retries=2, cache_s=0, pause=pause, clock=clock)
    peer = Peer(("a",), ("b",))
    assert [await asking.ask("1", peer), await asking.ask("1", peer)] == [("a",), ("b",)]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 20), st.integers(0, 10)), max_size=60))
def test_the_cache_is_a_bounded_memory(steps: list[tuple[str, int, int]]) -> None:
    """Whatever is put and however time passes: never more than the limit, never an answer after its time."""
    clock = Clock()
    cache: Cache[int] = Cache(at_most=3, clock=clock)
    ends: dict[str, tuple[int, float]] = {}
    for number, (question, holds_s, passes_s) in enumerate(steps):
        cache.put(question, number, holds_s)
        if holds_s:
            ends[question] = number, clock.now + holds_s
        clock.now += passes_s
        assert len(cache) <= 3
        for asked in "abcdef":
            answer = cache.get(asked)
            assert answer is None or (answer, True) == (ends[asked][0], clock.now < ends[asked][1])
