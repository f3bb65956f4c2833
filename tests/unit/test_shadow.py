"""A challenger in shadow: counted beside the champion, and never heard."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from radbridge.registry import LoraRegistry, LoraVersion
from radbridge_model_server.service import Service
from tests.support.registry import OWNER, publish_rivals, trained
from tests.support.serving import ask, captured_logs, echo, eventually, make_service, serve
from tests.support.skipping import skipping_time

CHAMPION = "12 mm right upper lobe nodule."
SECRET = "zebra"


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    return LoraRegistry(tmp_path / "registry")


@pytest.fixture
def pair(registry: LoraRegistry, tmp_path: Path) -> tuple[LoraVersion, LoraVersion]:
    return publish_rivals(registry, tmp_path)


def service_of(pair: tuple[LoraVersion, LoraVersion], registry: LoraRegistry, said: str, **options: Any) -> Service:
    """Every draft has a shadow; the challenger says `said`."""
    champion, challenger = pair
    shadow_share = options.pop("shadow_share", 1.0)
    engine = echo(voices={champion.name: CHAMPION, challenger.name: said}, **options)
    return make_service(engine, registry, shadow_share=shadow_share)


def side(service: Service, mode: str) -> dict[str, Any]:
    """What is told of one side of the trial; empty when it has no drafts yet."""
    return next((told for told in service.describe_loras()["trials"] if told["mode"] == mode), {})


async def test_both_sides_are_counted(registry: LoraRegistry, pair: tuple[LoraVersion, LoraVersion]) -> None:
    """For each draft the champion is counted as served and the challenger as shadow: drafts, words, flags, refusals."""
    service = service_of(pair, registry, "There is a 12 mm nodule in the right upper lobe.")
    drafted = await service.drafter.draft(ask())
    assert (drafted.draft, drafted.lora) == (CHAMPION, pair[0].name)
    await eventually(lambda: bool(side(service, "shadow")))
    served, shadow = side(service, "served"), side(service, "shadow")
    assert (served["owner"], served["role"], shadow["role"]) == (OWNER, "champion", "challenger")
    assert (served["drafts"], served["refused"], served["words"]) == (1, 0, 6)
    assert (shadow["drafts"], shadow["refused"], shadow["words"]) == (1, 0, 11)
    assert shadow["ms"] > 0
    page = service.metrics.page().decode()
    for role, mode in (("champion", "served"), ("challenger", "shadow")):
        assert f'radbridge_lora_drafts_total{{mode="{mode}",owner="{OWNER}",role="{role}"}} 1.0' in page


async def test_a_shadows_text_goes_nowhere(registry: LoraRegistry, pair: tuple[LoraVersion, LoraVersion]) -> None:
    """What a challenger writes in shadow stands in no answer, no log line, no metric; it is checked and counted."""
    service = service_of(pair, registry, f"12 mm {SECRET} in the right upper lobe.")
    with captured_logs() as logged:
        async with serve(service) as http:
            request = {"id": "d1", "findings": ask().findings, "radiologist": "900001"}
            answers = [await http.post("/v1/drafts", json=request)]
            await eventually(lambda: bool(side(service, "shadow")))
            answers += [await http.get(path) for path in ("/v1/loras", "/metrics", "/healthz")]
            answers += [await http.post("/v1/drafts", json=request, headers={"accept": "text/event-stream"})]
    assert side(service, "shadow")["refused"] >= 1
    told = "".join(answer.text for answer in answers) + logged.getvalue()
    assert SECRET not in told
    assert all("findings" not in json.loads(line) for line in logged.getvalue().splitlines())


@skipping_time
async def test_a_shadow_gives_way(registry: LoraRegistry, pair: tuple[LoraVersion, LoraVersion]) -> None:
    """As soon as a draft waits for the engine, the shadow stops: the draft has its place, and nothing is counted."""
    service = service_of(pair, registry, "word " * 60, word_s=0.5, max_batch=1)
    engine = service.engine
    assert engine
    await service.drafter.draft(ask("d1", findings="No pleural effusion."))
    await eventually(lambda: engine.stats().running == 1)
    with service.desk.take(ask("d2", radiologist="nobody"), time.monotonic()) as ticket:
        drafted = await ticket.draft()
    assert drafted.stage == "fine"
    assert drafted.timings_ms["queue"] < 10_000
    assert side(service, "shadow") == {}
    await service.close()


@skipping_time
async def test_one_shadow_at_a_time(registry: LoraRegistry, pair: tuple[LoraVersion, LoraVersion]) -> None:
    """While one challenger writes, other drafts have no shadow."""
    service = service_of(pair, registry, "word " * 60, word_s=0.05)
    engine = service.engine
    assert engine
    for n in range(5):
        await service.drafter.draft(ask(f"d{n}"))
    await eventually(lambda: engine.stats().running == 1)
    await service.close()
    assert engine.stats().running == 0
    assert side(service, "served")["drafts"] == 5


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_only_the_share_has_shadows(
    registry: LoraRegistry, pair: tuple[LoraVersion, LoraVersion], share: float
) -> None:
    """Without a share no challenger writes; without a challenger nothing is counted at all."""
    service = service_of(pair, registry, CHAMPION, shadow_share=share)
    await service.drafter.draft(ask())
    if share:
        await eventually(lambda: bool(side(service, "shadow")))
    assert bool(side(service, "shadow")) == bool(share)
    registry.withdraw_challenger(OWNER)
    await service.drafter.draft(ask())
    assert service.describe_loras()["trials"] == []
    assert OWNER not in service.metrics.page().decode()
    await service.close()


async def test_a_challenger_that_can_not_be_loaded_casts_no_shadow(
    registry: LoraRegistry, pair: tuple[LoraVersion, LoraVersion], tmp_path: Path
) -> None:
    """A challenger made for another base costs the drafts nothing."""
    foreign = registry.publish(trained(tmp_path / "foreign", b"3"), OWNER, base_digest="f" * 64, prompt_version="p1")
    registry.challenge(foreign)
    service = service_of(pair, registry, CHAMPION)
    assert (await service.drafter.draft(ask())).draft == CHAMPION
    await service.close()
    assert side(service, "shadow") == {}
