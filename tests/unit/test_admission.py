"""Who goes next into an engine that serves a few LoRAs at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_model_server.engines.admission import Admission, AdmissionLimits


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(eq=False, kw_only=True)
class Asker:
    """A prompt that holds its place until it is told to leave."""

    lora: str | None
    number: int
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Room:
    """An `Admission` with a journal of who went in, and its promise checked at every entrance."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self.clock = Clock()
        self.limits = limits
        self.admission = Admission(limits, clock=self.clock)
        self.entered: list[Asker] = []
        self.inside: set[Asker] = set()
        self.askers: list[Asker] = []

    def let_in(self, *askers: Asker) -> list[bool]:
        return [asker in self.inside for asker in askers]

    async def ask(self, *loras: str | None) -> list[Asker]:
        asked = []
        for lora in loras:
            asker = Asker(lora=lora, number=len(self.askers))
            asker.task = asyncio.create_task(self._stay(asker))
            self.askers.append(asker)
            asked.append(asker)
        await _settle()
        return asked

    async def leave(self, *askers: Asker) -> None:
        for asker in askers:
            asker.leaving.set()
        await _settle()

    async def cancel(self, asker: Asker) -> None:
        assert asker.task
        asker.task.cancel()
        await _settle()

    async def drain(self) -> None:
        """Everybody inside leaves until nobody is left; bounded, because nobody may wait for ever."""
        for _ in range(len(self.askers) + 1):
            await self.leave(*self.inside)
        assert not self.inside

    async def _stay(self, asker: Asker) -> None:
        async with self.admission.admit(asker.lora):
            self.entered.append(asker)
            self.inside.add(asker)
            assert len(self.inside) <= self.limits.places
            assert len({a.lora for a in self.inside} - {None}) <= self.limits.max_loras
            try:
                await asker.leaving.wait()
            finally:
                self.inside.remove(asker)


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_resident_lora_overtakes_one_that_waits_for_a_place() -> None:
    """While one prompt waits for its LoRA's place, prompts of LoRAs under way and of the base go past it."""
    room = Room(AdmissionLimits(places=8, max_loras=1))
    (first,) = await room.ask("hot")
    rare, hot, base = await room.ask("rare", "hot", None)
    assert room.let_in(rare, hot, base) == [False, True, True]
    await room.leave(first, hot)
    assert rare in room.inside
    await room.drain()


async def test_nobody_passes_an_old_prompt() -> None:
    """A prompt older than the bound is passed by nobody: the hot LoRA drains, it goes in, and the hot one follows."""
    room = Room(AdmissionLimits(places=8, max_loras=1, max_age_s=2.0))
    first, rare = await room.ask("hot", "rare")
    room.clock.now = 1.9
    (second,) = await room.ask("hot")
    room.clock.now = 2.0
    (third,) = await room.ask("hot")
    assert room.let_in(second, third) == [True, False]
    await room.leave(first, second)
    assert room.let_in(rare, third) == [True, False]
    await room.leave(rare)
    assert third in room.inside
    await room.drain()


async def test_nobody_passes_a_prompt_that_was_passed_too_often() -> None:
    """However fast a hot LoRA's prompts come, a rare one is passed by so many and no more (vllm#16876)."""
    room = Room(AdmissionLimits(places=2, max_loras=1, max_overtakes=5))
    (inside,) = await room.ask("hot")
    (rare,) = await room.ask("rare")
    for _ in range(50):
        (following,) = await room.ask("hot")
        await room.leave(inside)
        inside = following
        if rare in room.inside:
            break
    passed = [asker for asker in room.entered if asker.number > rare.number and asker is not inside]
    assert rare in room.inside
    assert len(passed) == 5
    await room.drain()


async def test_a_full_room_is_left_in_the_order_of_asking() -> None:
    """Without a LoRA in anybody's way it is first come, first served."""
    room = Room(AdmissionLimits(places=1, max_loras=1))
    asked = await room.ask("a", "b", None, "a", "b")
    await room.drain()
    assert room.entered == asked


async def test_cancelling_frees_the_place() -> None:
    """A prompt that gives up, waiting or inside, leaves its place and its LoRA's to the next."""
    room = Room(AdmissionLimits(places=1, max_loras=1))
    inside, waiting, last = await room.ask("a", "b", "c")
    await room.cancel(waiting)
    assert room.admission.waiting == 1
    await room.cancel(inside)
    assert last in room.inside
    assert room.admission.loras == {"c"}
    await room.drain()
    assert (room.admission.running, room.admission.waiting) == (0, 0)


async def test_cancelling_an_old_prompt_lets_the_others_pass() -> None:
    """Those who couldn't pass a prompt go in when it gives up."""
    room = Room(AdmissionLimits(places=8, max_loras=1, max_age_s=0.0))
    _, rare, hot = await room.ask("hot", "rare", "hot")
    assert hot not in room.inside
    await room.cancel(rare)
    assert hot in room.inside
    await room.drain()


async def test_a_prompt_cancelled_as_it_is_let_in_frees_its_place() -> None:
    """Between being let in and noticing it, a prompt may be cancelled: the place isn't lost."""
    room = Room(AdmissionLimits(places=1, max_loras=1))
    inside, waiting, last = await room.ask("a", "b", "c")
    inside.leaving.set()
    while room.admission.loras == {"a"}:
        await asyncio.sleep(0)
    assert waiting.task
    waiting.task.cancel()
    await _settle()
    assert last in room.inside
    await room.drain()


Steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from([None, "a", "b", "c", "d"])),
        st.tuples(st.just("leave"), st.integers(0, 7)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 5.0])),
    ),
    max_size=40,
)


@given(
    steps=Steps,
    places=st.integers(1, 6),
    max_loras=st.integers(1, 3),
    max_age_s=st.sampled_from([0.0, 1.0, 100.0]),
    max_overtakes=st.integers(0, 5),
)
def test_whatever_happens_everybody_gets_in(
    steps: Sequence[tuple[str, object]], places: int, max_loras: int, max_age_s: float, max_overtakes: int
) -> None:
    """Never more LoRAs or prompts inside than allowed, each LoRA's in their order, and all that stay get in."""
    limits = AdmissionLimits(places=places, max_loras=max_loras, max_age_s=max_age_s, max_overtakes=max_overtakes)
    asyncio.run(_play(Room(limits), steps))


async def _play(room: Room, steps: Sequence[tuple[str, object]]) -> None:
    cancelled = set()
    for step, argument in steps:
        match step, argument:
            case "ask", str() | None as lora:
                await room.ask(lora)
            case "leave", int(index) if room.inside:
                await room.leave(sorted(room.inside, key=lambda a: a.number)[index % len(room.inside)])
            case "cancel", int(index) if index < len(room.askers):
                cancelled.add(room.askers[index])
                await room.cancel(room.askers[index])
            case "wait", float(seconds):
                room.clock.now += seconds
    await room.drain()
    assert set(room.entered) | cancelled == set(room.askers)
    assert (room.admission.running, room.admission.waiting) == (0, 0)
    for lora in (None, "a", "b", "c", "d"):
        numbers = [asker.number for asker in room.entered if asker.lora == lora]
        assert numbers == sorted(numbers)
    for asker in room.askers:
        assert asker.task
        if asker not in cancelled:
            await asker.task


@pytest.mark.parametrize("lora", [None, "a"])
async def test_an_empty_room_lets_anybody_in_at_once(lora: str | None) -> None:
    """Nobody waits for nobody."""
    admission = Admission(AdmissionLimits(places=1, max_loras=1))
    async with admission.admit(lora):
        assert admission.running == 1
