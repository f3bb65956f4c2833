"""The LoRA versions in an engine's memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.errors import LoraRefused
from radbridge.registry import LoraVersion
from radbridge_model_server.engines.resident_loras import ResidentLoras


def version(number: int, name: str = "") -> LoraVersion:
    return LoraVersion(
        owner=f"rad/{name or number}",
        seq=1,
        digest12="0" * 12,
        path=Path("/nowhere"),
        base_digest="b" * 64,
        prompt_version="p1",
        rank=4,
        targets=("q_proj",),
        number=number,
    )


class Memory:
    """An engine's memory that takes a moment for everything, notes what it does, and refuses number 13."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held: set[int] = set()
        self.checks: list[int] = []
        self.loads: list[int] = []
        self.residents = ResidentLoras(limit=limit, check=self.check, load=self.load, drop=self.drop)

    async def check(self, version: LoraVersion) -> None:
        await asyncio.sleep(0)
        self.checks.append(version.number)
        if version.number == 13 or version.base_digest.startswith("f"):
            raise LoraRefused(version.name, "unlucky")

    async def load(self, version: LoraVersion) -> None:
        assert version.number in self.checks
        assert version.number not in self.held
        await asyncio.sleep(0)
        self.held.add(version.number)
        self.loads.append(version.number)
        assert len(self.held) <= self.limit

    async def drop(self, version: LoraVersion) -> None:
        self.held.remove(version.number)
        self.checks = [number for number in self.checks if number != version.number]
        await asyncio.sleep(0)

    async def use(self, number: int, turns: int = 1) -> None:
        async with self.residents.use(version(number)):
            for _ in range(turns):
                assert number in self.held
                await asyncio.sleep(0)


async def test_one_load_serves_all_who_ask_at_once() -> None:
    """Prompts that ask for one version at the same time wait for one load."""
    memory = Memory(limit=2)
    await asyncio.gather(*(memory.use(1) for _ in range(5)))
    assert memory.loads == [1]


async def test_the_least_recently_used_gives_way() -> None:
    """A new version takes the place of the one that nobody has used for longest."""
    memory = Memory(limit=2)
    for number in (1, 2, 1, 3):
        await memory.use(number)
    assert memory.residents.names == (version(1).name, version(3).name)


async def test_nothing_in_use_gives_way() -> None:
    """While prompts use all that is in memory, another version waits."""
    memory = Memory(limit=1)
    async with memory.residents.use(version(1)):
        waiting = asyncio.create_task(memory.use(2))
        for _ in range(20):
            await asyncio.sleep(0)
        assert memory.held == {1}
    await waiting
    assert memory.held == {2}


async def test_what_comes_back_is_verified_again() -> None:
    """A version that was dropped is checked once more before it is loaded once more."""
    memory = Memory(limit=1)
    for number in (1, 2, 1):
        await memory.use(number)
    assert memory.loads == [1, 2, 1]
    assert memory.checks == [1]


async def test_a_refusal_reaches_all_who_asked_and_is_not_remembered() -> None:
    """Everybody who waited for a refused version is told so, its place is free, and asking again checks again."""
    memory = Memory(limit=1)
    told = await asyncio.gather(*(memory.use(13) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in told] == [LoraRefused] * 3
    assert memory.checks == [13]
    with pytest.raises(LoraRefused):
        await memory.use(13)
    await memory.use(1)
    assert memory.residents.names == (version(1).name,)


async def test_a_refusal_hits_nobody_else() -> None:
    """Beside one with wrong facts and the same name, the right version is loaded all the same."""
    memory = Memory(limit=1)
    right, wrong = version(1), replace(version(1), base_digest="f" * 64)

    async def ask(asked: LoraVersion) -> None:
        async with memory.residents.use(asked):
            assert memory.held == {1}

    for order in ([wrong, right], [right, wrong]):
        told = dict(zip(order, await asyncio.gather(*map(ask, order), return_exceptions=True), strict=True))
        assert isinstance(told[wrong], LoraRefused)
        assert told[right] is None


async def test_a_cancelled_load_is_finished() -> None:
    """What the engine began to load is known to be in memory, even when nobody waits for it any more."""
    memory = Memory(limit=1)
    asking = asyncio.create_task(memory.use(1))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await memory.use(2)
    assert memory.held == {2}
    assert memory.residents.names == (version(2).name,)


async def test_retiring_waits_for_the_prompts_that_use_it() -> None:
    """A version is dropped when its last prompt is done, no earlier; one that isn't there is no error."""
    memory = Memory(limit=2)
    await memory.residents.retire(version(1))
    async with memory.residents.use(version(1)):
        retiring = asyncio.create_task(memory.residents.retire(version(1)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert memory.held == {1}
    await retiring
    assert memory.held == set()


@pytest.mark.parametrize(
    "clashing", [version(0), version(1, "other"), version(2, "1")], ids=["none", "another's number", "two numbers"]
)
async def test_a_number_is_one_versions(clashing: LoraVersion) -> None:
    """A version without number, with another's, or with a second one is refused."""
    memory = Memory(limit=4)
    await memory.use(1)
    with pytest.raises(LoraRefused, match="number"):
        async with memory.residents.use(clashing):
            pass


Actions = st.lists(
    st.tuples(st.sampled_from(["use", "use", "retire", "cancel"]), st.sampled_from([1, 2, 3, 4, 13])), max_size=30
)


@given(actions=Actions, limit=st.integers(1, 3), pause=st.integers(0, 5))
def test_memory_never_holds_more_than_the_limit(actions: list[tuple[str, int]], limit: int, pause: int) -> None:
    """Whatever is asked, cancelled and retired at once, `names` is what the engine holds, and all end."""
    asyncio.run(_play(Memory(limit), actions, pause))


async def _play(memory: Memory, actions: list[tuple[str, int]], pause: int) -> None:
    tasks: list[asyncio.Task[None]] = []
    for what, number in actions:
        match what:
            case "use":
                tasks.append(asyncio.create_task(memory.use(number, turns=3)))
            case "retire":
                tasks.append(asyncio.create_task(memory.residents.retire(version(number))))
            case "cancel" if tasks:
                tasks[number % len(tasks)].cancel()
        for _ in range(pause):
            await asyncio.sleep(0)
    async with asyncio.timeout(60):
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        await memory.use(1)
    assert {type(end) for end in ends} <= {type(None), LoraRefused, asyncio.CancelledError}
    assert {version(number).name for number in memory.held} == set(memory.residents.names)
