"""LoRAs come into memory before they are needed, and leave it after."""

from __future__ import annotations

import asyncio
import math
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radbridge.errors import LoraRefused
from radbridge.registry import WEIGHTS, LoraRegistry, LoraVersion
from radbridge_model_server.loras.chain import LoraChain, Role
from radbridge_model_server.loras.keeper import LoraKeeper
from radbridge_model_server.testing import EchoEngine
from tests.support.registry import OWNER, publish_new
from tests.support.serving import Clock, Gate, echo, eventually

RETIRE_S = 900.0


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    return LoraRegistry(tmp_path / "registry")


@pytest.fixture
def versions(registry: LoraRegistry, tmp_path: Path) -> list[LoraVersion]:
    """Three versions of one owner; the first is the champion."""
    published = [publish_new(registry, tmp_path, content) for content in (b"1", b"2", b"3")]
    registry.promote(published[0])
    return published


def keeper_of(engine: EchoEngine, registry: LoraRegistry, clock: Clock | None = None) -> LoraKeeper:
    chain = LoraChain(registry=registry, packaged={}, personas={}, site_lora="")
    return LoraKeeper(engine=engine, chain=chain, retire_after_s=RETIRE_S, clock=clock or Clock())


async def test_everybody_who_waits_waits_for_one_load(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """Any number of drafts that want a cold LoRA cause one load, and all get it."""
    gate = Gate()
    keeper = keeper_of(echo(load=gate), registry)
    waiting = [asyncio.create_task(keeper.wait_for(versions[0], math.inf)) for _ in range(20)]
    await eventually(lambda: bool(gate.loads))
    gate.opened.set()
    assert await asyncio.gather(*waiting) == [True] * 20
    assert gate.loads == [versions[0].name]
    assert await keeper.wait_for(versions[0], math.inf)
    assert gate.loads == [versions[0].name]


async def test_loads_of_different_loras_do_not_wait_for_each_other(
    registry: LoraRegistry, versions: list[LoraVersion]
) -> None:
    """A LoRA that loads slowly holds up nobody who wants another one."""
    slow = asyncio.Event()

    async def load(version: LoraVersion) -> None:
        if version == versions[0]:
            await slow.wait()

    keeper = keeper_of(echo(load=load), registry)
    first = asyncio.create_task(keeper.wait_for(versions[0], math.inf))
    assert await keeper.wait_for(versions[1], math.inf)
    assert not first.done()
    slow.set()
    assert await first


async def test_who_can_wait_no_longer_leaves_the_load_going(
    registry: LoraRegistry, versions: list[LoraVersion]
) -> None:
    """A waiter whose time is up, and one who is cancelled, go without the LoRA; it comes all the same."""
    gate, clock = Gate(), Clock()
    engine = echo(load=gate)
    keeper = keeper_of(engine, registry, clock)
    patient = asyncio.create_task(keeper.wait_for(versions[0], math.inf))
    assert not await keeper.wait_for(versions[0], clock.now)
    patient.cancel()
    await asyncio.gather(patient, return_exceptions=True)
    gate.opened.set()
    await eventually(lambda: versions[0].name in engine.stats().loras)


async def test_prefetching_warms_with_one_token(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """What is loaded ahead has generated one token before its first draft; what is there is left alone."""
    engine = echo(say=lambda _: "one two")
    keeper = keeper_of(engine, registry)
    keeper.prefetch(versions[0])
    await eventually(lambda: engine.stats().generated == 1)
    assert engine.stats().tokens == 1
    assert keeper.is_resident(versions[0])
    keeper.prefetch(versions[0])
    await keeper.close()
    assert engine.stats().generated == 1


async def test_a_flood_of_orders_holds_nobody_up(registry: LoraRegistry, tmp_path: Path) -> None:
    """Few versions are loaded ahead at once; a draft's own load doesn't wait behind them."""
    gate = Gate()
    keeper = keeper_of(echo(load=gate), registry)
    versions = [publish_new(registry, tmp_path, str(n).encode()) for n in range(9)]
    for version in (*versions[:8], *versions[:8]):
        keeper.prefetch(version)
    await eventually(lambda: len(gate.loads) == 2)
    waiting = asyncio.create_task(keeper.wait_for(versions[8], math.inf))
    await eventually(lambda: len(gate.loads) == 3)
    assert gate.loads[2] == versions[8].name
    gate.opened.set()
    assert await waiting
    await eventually(lambda: len(gate.loads) == 9)
    await keeper.close()


async def test_a_damaged_lora_is_read_once_a_minute(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """A refusal stands for a minute without reading the files again, and for as long as they stay as they are."""
    clock, reads = Clock(), list[str]()

    async def load(version: LoraVersion) -> None:
        reads.append(version.name)
        if (version.path / WEIGHTS).read_bytes() != b"healed":
            raise LoraRefused(version.name, "its files are not those that were published")

    keeper = keeper_of(echo(load=load), registry, clock)
    for _ in range(5):
        with pytest.raises(LoraRefused, match="not those that were published"):
            await keeper.wait_for(versions[0], math.inf)
    assert len(reads) == 1
    assert keeper.statuses()[0].refusal == "its files are not those that were published"
    clock.now += 61
    with pytest.raises(LoraRefused):
        await keeper.wait_for(versions[0], math.inf)
    assert len(reads) == 2
    (versions[0].path / WEIGHTS).write_bytes(b"healed")
    assert await keeper.wait_for(versions[0], math.inf)
    assert keeper.statuses()[0].refusal == ""


async def test_what_nobody_names_leaves_after_a_while(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """A version without an alias is retired so long after its last draft, and not before; a named one stays."""
    engine, clock = echo(), Clock()
    keeper = keeper_of(engine, registry, clock)
    registry.challenge(versions[1])
    for version in versions:
        with keeper.use(version):
            await keeper.wait_for(version, math.inf)
    clock.now += RETIRE_S - 1
    await keeper.sweep()
    assert len(engine.stats().loras) == 3
    clock.now += 1
    await keeper.sweep()
    assert set(engine.stats().loras) == {versions[0].name, versions[1].name}
    assert {status.name for status in keeper.statuses()} == set(engine.stats().loras)
    registry.promote(versions[1])
    clock.now += RETIRE_S
    await keeper.sweep()
    assert engine.stats().loras == (versions[1].name,)


async def test_a_version_in_use_is_not_retired(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """A draft keeps its version, however long ago it was replaced; the while begins when the draft ends."""
    engine, clock = echo(), Clock()
    keeper = keeper_of(engine, registry, clock)
    with keeper.use(versions[0]):
        await keeper.wait_for(versions[0], math.inf)
        registry.promote(versions[1])
        clock.now += 10 * RETIRE_S
        await keeper.sweep()
        assert keeper.is_resident(versions[0])
    clock.now += RETIRE_S - 1
    await keeper.sweep()
    assert keeper.is_resident(versions[0])
    clock.now += 1
    await keeper.sweep()
    assert not keeper.is_resident(versions[0])


steps = st.lists(
    st.tuples(st.sampled_from(["begin", "end", "promote", "challenge", "wait", "sweep"]), st.integers(0, 2)),
    max_size=30,
)


@settings(max_examples=40)  # each one publishes versions, with fsync
@given(steps)
def test_whatever_happens_a_version_in_use_stays(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """In any order of drafts, promotions, waits and sweeps, nothing that a draft uses or an alias names is retired."""
    asyncio.run(_play(tmp_path_factory.mktemp("registry"), steps))


async def _play(folder: Path, steps: list[tuple[str, int]]) -> None:
    registry, clock, engine = LoraRegistry(folder / "loras"), Clock(), echo()
    versions = [publish_new(registry, folder, content) for content in (b"1", b"2", b"3")]
    keeper = keeper_of(engine, registry, clock)
    using = {n: list[AbstractContextManager[None]]() for n in range(3)}
    for step, n in steps:
        if step == "begin":
            use = keeper.use(versions[n])
            use.__enter__()
            using[n].append(use)
            await keeper.wait_for(versions[n], math.inf)
        elif step == "end" and using[n]:
            using[n].pop().__exit__(None, None, None)
        elif step == "promote":
            registry.promote(versions[n])
        elif step == "challenge" and registry.champion(OWNER) != versions[n]:
            registry.challenge(versions[n])
        elif step == "wait":
            clock.now += RETIRE_S * n / 2
        before = set(engine.stats().loras)
        await keeper.sweep()
        gone = before - set(engine.stats().loras)
        held = {versions[n].name for n in range(3) if using[n]}
        named = {v.name for v in (registry.champion(OWNER), registry.challenger(OWNER)) if v}
        assert not gone & (held | named)
    await keeper.close()


async def test_a_promotion_is_loaded_before_it_is_asked_for(
    registry: LoraRegistry, versions: list[LoraVersion]
) -> None:
    """When an owner's LoRA is in use and another version is promoted, the next sweep brings it into memory, warmed."""
    engine = echo()
    keeper = keeper_of(engine, registry)
    with keeper.use(versions[0]):
        await keeper.wait_for(versions[0], math.inf)
    registry.promote(versions[1])
    await keeper.sweep()
    await eventually(lambda: keeper.is_resident(versions[1]) and engine.stats().generated == 1)
    await keeper.close()


async def test_what_came_by_another_way_is_kept_too(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """A version that a chat brought into memory is retired like any other."""
    engine, clock = echo(), Clock()
    keeper = keeper_of(engine, registry, clock)
    await engine.ensure_lora(versions[2])
    await keeper.sweep()
    clock.now += RETIRE_S
    await keeper.sweep()
    assert engine.stats().loras == ()


async def test_it_tells_what_is_in_memory_and_why(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """Each version with its number, role, drafts under way, time since the last one, and loads."""
    engine, clock = echo(), Clock()
    keeper = keeper_of(engine, registry, clock)
    registry.challenge(versions[1])
    for version in versions:
        await keeper.wait_for(version, math.inf)
    clock.now += 12
    with keeper.use(versions[1]):
        told = {status.name: status for status in keeper.statuses()}
    assert [told[v.name].role for v in versions] == [Role.CHAMPION, Role.CHALLENGER, Role.NONE]
    assert [told[v.name].number for v in versions] == [v.number for v in versions]
    assert [told[v.name].in_flight for v in versions] == [0, 1, 0]
    assert told[versions[0].name].idle_s == 12
    assert {(s.resident, s.loading, s.loads, s.refusal) for s in told.values()} == {(True, False, 1, "")}
