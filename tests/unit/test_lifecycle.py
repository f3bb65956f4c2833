"""LoRA versions come and go while reports are dictated; no draft is late or changes hands for it."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

from radbridge.registry import LoraRegistry, LoraVersion, owner_of
from radbridge_model_server.engines.engine import Generated, OnText, Prompt
from radbridge_model_server.loras.keeper import LoraKeeper
from radbridge_model_server.service import Service
from radbridge_model_server.testing import EchoEngine
from tests.support.registry import publish_new
from tests.support.serving import Gate, ask, captured_logs, echo, eventually, make_service
from tests.support.skipping import skipping_time

SITE = owner_of("site", "radiology")


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    return LoraRegistry(tmp_path / "registry")


@pytest.fixture
def versions(registry: LoraRegistry, tmp_path: Path) -> list[LoraVersion]:
    """Two versions of radiologist 900001, the first one the champion, and the site's."""
    published = [publish_new(registry, tmp_path, content) for content in (b"1", b"2")]
    published.append(publish_new(registry, tmp_path, b"site", SITE))
    registry.promote(published[0])
    registry.promote(published[2])
    return published


def keeper_of(service: Service) -> LoraKeeper:
    assert service.keeper
    return service.keeper


@skipping_time
async def test_a_cold_lora_does_not_make_the_draft_late(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """While the signer's LoRA loads, the next in line that is in memory drafts within the deadline, and says why."""
    gate = Gate()
    engine = echo(load=gate)
    service = make_service(engine, registry, site_lora=SITE, wait_share=0.2)
    gate.opened.set()
    await keeper_of(service).wait_for(versions[2], time.monotonic() + 5)
    gate.opened.clear()
    began = time.monotonic()
    drafted = await service.drafter.draft(ask(deadline_ms=4000))
    assert time.monotonic() - began < 4
    assert drafted.stage == "fine"
    assert drafted.lora == versions[2].name
    assert drafted.fallback == ("LoRA for the signer still loading",)
    gate.opened.set()
    await eventually(lambda: versions[0].name in engine.stats().loras)
    assert (await service.drafter.draft(ask())).lora == versions[0].name
    assert gate.loads.count(versions[0].name) == 1


@skipping_time
async def test_when_everything_is_cold_the_base_drafts(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """All LoRAs of the chain share one wait; after it the base writes, still in time."""
    gate = Gate()
    service = make_service(echo(load=gate), registry, site_lora=SITE, wait_share=0.2)
    began = time.monotonic()
    drafted = await service.drafter.draft(ask(deadline_ms=4000))
    assert time.monotonic() - began < 4
    assert (drafted.stage, drafted.lora) == ("fine", "base")
    assert drafted.fallback == ("LoRA for the signer still loading", "site LoRA still loading")
    async with asyncio.timeout(60):  # nobody waited for the second: its load may only just begin
        while set(gate.loads) != {versions[0].name, versions[2].name}:
            await asyncio.sleep(0.01)
    await service.close()


async def test_a_lora_that_comes_in_time_drafts(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """Drafts that come while a LoRA loads wait for that one load, and are its own."""
    gate = Gate()
    service = make_service(echo(load=gate), registry, deadline_s=600.0)
    drafting = [asyncio.create_task(service.drafter.draft(ask(f"d{n}"))) for n in range(6)]
    await eventually(lambda: bool(gate.loads))
    gate.opened.set()
    drafts = await asyncio.gather(*drafting)
    assert {d.lora for d in drafts} == {versions[0].name}
    assert {d.fallback for d in drafts} == {()}
    assert gate.loads == [versions[0].name]


@skipping_time
async def test_a_draft_under_way_keeps_its_version(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """A draft that began before a promotion is written by the version it began with, which stays until then."""
    engine = echo(delay_s=0.4)
    service = make_service(engine, registry, retire_after_s=0)
    older = asyncio.create_task(service.drafter.draft(ask("d1")))
    await eventually(lambda: engine.stats().running == 1)
    registry.promote(versions[1])
    await keeper_of(service).sweep()
    assert versions[0].name in engine.stats().loras
    newer = await service.drafter.draft(ask("d2"))
    assert newer.lora == versions[1].name
    assert (await older).lora == versions[0].name
    await keeper_of(service).sweep()
    assert versions[0].name not in engine.stats().loras
    await service.close()


async def test_a_load_that_fails_unexpectedly_gives_way(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """Whatever goes wrong with one LoRA, such as its folder gone, the next in line drafts, and the draft says so."""

    async def load(version: LoraVersion) -> None:
        if version == versions[0]:
            raise FileNotFoundError(version.path)

    drafted = await make_service(echo(load=load), registry, site_lora=SITE).drafter.draft(ask())
    assert drafted.lora == versions[2].name
    assert drafted.fallback == ("LoRA for the signer refused: it can't be loaded (FileNotFoundError)",)


class BusyEngine(EchoEngine):
    """Doesn't look at deadlines, like one whose thread is loading another LoRA."""

    async def generate(self, prompt: Prompt, on_text: OnText | None = None) -> Generated:
        return await super().generate(replace(prompt, deadline=math.inf), on_text)


@skipping_time
async def test_an_engine_that_does_not_look_up_makes_no_draft_late() -> None:
    """The coarse text is answered at the deadline even when the engine is deaf to it, and the prompt is taken back."""
    engine = BusyEngine(delay_s=60)
    began = time.monotonic()
    drafted = await make_service(engine).drafter.draft(ask(deadline_ms=1000))
    assert time.monotonic() - began < 1
    assert drafted.stage == "coarse"
    assert drafted.fallback[-1] == "no fine text before the deadline"
    await eventually(lambda: engine.stats().running == 0)


async def test_an_engine_that_breaks_its_word_leaves_the_coarse_text() -> None:
    """An error that no engine may raise costs the style, never the draft."""

    def say(_: str) -> str:
        raise ZeroDivisionError

    with captured_logs() as logged:
        drafted = await make_service(echo(say=say)).drafter.draft(ask())
    assert drafted.stage == "coarse"
    assert drafted.draft
    assert drafted.fallback[-1] == "no fine text: the engine failed"
    assert "ZeroDivisionError" in logged.getvalue()
    assert "nodule" not in logged.getvalue()


async def test_a_prefetched_lora_is_there_for_the_first_draft(
    registry: LoraRegistry, versions: list[LoraVersion]
) -> None:
    """Prefetch answers at once with what will draft and loads it behind; the first draft loads nothing."""
    gate = Gate()
    engine = echo(load=gate)
    service = make_service(engine, registry, site_lora=SITE)
    told = service.prefetch("900001")
    assert (told.lora, told.resident) == (versions[0].name, False)
    gate.opened.set()
    await eventually(lambda: engine.stats().generated == 1)
    assert service.prefetch("900001").resident
    assert (await service.drafter.draft(ask())).lora == versions[0].name
    assert gate.loads == [versions[0].name]
    assert service.prefetch("nobody").lora == versions[2].name
    assert make_service(echo()).prefetch("900001").lora == "base"
    assert make_service(None, strategy="coarse").prefetch("900001").lora == "none"
    await service.close()


async def test_a_canary_draft_is_prefetched_for_too(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """Where a challenger serves a share of the drafts, prefetch brings it into memory beside the champion."""
    registry.challenge(versions[1])
    engine = echo()
    service = make_service(engine, registry, canary_share=0.5)
    service.prefetch("900001")
    await eventually(lambda: set(engine.stats().loras) == {v.name for v in versions[:2]})
    await service.close()


async def test_the_sites_lora_is_there_from_the_start(registry: LoraRegistry, versions: list[LoraVersion]) -> None:
    """A service that starts loads what drafts for everybody, before anybody asks; a closed one leaves no task."""
    before = asyncio.all_tasks()
    engine = echo()
    service = make_service(engine, registry, site_lora=SITE)
    service.start()
    await eventually(lambda: versions[2].name in engine.stats().loras)
    assert await service.is_ready()
    await service.close()
    assert asyncio.all_tasks() == before
    assert not await Service(settings=service.settings, engine=engine, chain=service.chain).is_ready()
