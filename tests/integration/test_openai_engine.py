"""`engine: openai` before a real vLLM server, which nobody here wrote: what every engine promises, and a bit more."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from radbridge.errors import ConfigError, LoraRefused
from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import LoraRegistry, LoraVersion, digest_weights, read_personas
from radbridge_model_server.engines import openai_server
from radbridge_model_server.engines.engine import Engine, Generated, OnText, Prompt
from radbridge_model_server.engines.openai_engine import OpenAIEngine
from radbridge_model_server.engines.start import start_engine
from radbridge_model_server.settings import PACKAGED, OpenAI, Settings
from tests.contract.engine_suite import *  # noqa: F403 - every test of the suite
from tests.contract.engine_suite import MAX_QUEUE, TEXT
from tests.support.vllm_peer import VllmPeer, run_vllm

# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning"),
]
BASE = PACKAGED / "base"
SAID = "There is a nodule. " * 6
ENDLESS = f"Study: CT\nFindings: {SAID}\nPreliminary: {SAID}\nImpression:\n"
"""The packaged base goes round in circles on it, as long as it may."""


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmPeer]:
    with run_vllm(BASE, tmp_path_factory.mktemp("vllm")) as running:
        yield running


@pytest.fixture(scope="module")
def loras() -> list[LoraVersion]:
    return list(read_personas(PACKAGED / "loras").values())


def settings(peer: VllmPeer, folder: Path, *, key: str = "", loras: Path | None = None, **openai: Any) -> Settings:
    file = folder / "key"
    file.write_text(f"{key or peer.key}\n")
    return Settings(
        engine="openai",
        loras=loras,
        max_batch=MAX_QUEUE,
        max_queue=MAX_QUEUE,
        max_loras=2,
        openai=OpenAI(url=peer.url, api_key_file=file, **openai),
    )


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine vLLM may need long to pick up, and each of both may stand still."""
    for limit in ("_CONNECT_S", "_PROBE_S", "_SILENT_S"):
        monkeypatch.setattr(openai_server, limit, 600.0)


@pytest.fixture
async def engine(peer: VllmPeer, tmp_path: Path) -> AsyncIterator[Engine]:
    running = await start_engine(settings(peer, tmp_path))
    yield running
    await running.close()


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    return LoraRegistry(tmp_path / "registry")


def publish(registry: LoraRegistry, persona: str, owner: str) -> LoraVersion:
    folder = PACKAGED / "loras" / persona
    return registry.publish(folder, owner, base_digest=digest_weights(BASE), prompt_version=PROMPT_VERSION)


def ask(lora: LoraVersion | None, *, text: str = TEXT, tokens: int = 24) -> Prompt:
    return Prompt(text=text, lora=lora, max_new_tokens=tokens)


async def test_the_server_writes_what_the_packaged_engine_writes(engine: Engine, loras: list[LoraVersion]) -> None:
    """Base and LoRAs give the same text by way of vLLM's server as by transformers in this process."""
    here = await start_engine(Settings())
    for lora in (None, *loras):
        assert (await engine.generate(ask(lora))).text == (await here.generate(ask(lora))).text
    await here.close()


async def test_the_servers_context_counts(engine: Engine) -> None:
    """Where the server takes fewer tokens than the base was made for, its limit holds."""
    assert engine.context_tokens == 512


async def test_a_retired_lora_is_unknown_there_too(peer: VllmPeer, engine: Engine, loras: list[LoraVersion]) -> None:
    """The server lists a LoRA by its version's own name while it is held, and not once it is retired."""
    await engine.ensure_lora(loras[0])
    assert loras[0].name in peer.names()
    await engine.retire_lora(loras[0])
    assert loras[0].name not in peer.names()


async def test_a_lora_that_the_server_lost_is_loaded_again(
    peer: VllmPeer, engine: Engine, loras: list[LoraVersion]
) -> None:
    """A server that was restarted knows no LoRA: the next prompt loads it again and gets the same text."""
    before = await engine.generate(ask(loras[1]))
    await asyncio.to_thread(peer.forget, loras[1].name)
    assert (await engine.generate(ask(loras[1]))).text == before.text
    assert loras[1].name in peer.names()


async def test_a_lora_is_named_where_the_server_sees_it(peer: VllmPeer, registry: LoraRegistry, tmp_path: Path) -> None:
    """With `loras_seen_at` the server is told its own path of the registry, not ours."""
    version = publish(registry, "numbered", "rad/900001")
    seen = tmp_path / "as the server sees it"
    seen.symlink_to(registry.root)
    mapped = await start_engine(settings(peer, tmp_path, loras=registry.root, loras_seen_at=seen))
    assert (await mapped.generate(ask(version))).text
    with peer.client() as client:
        cards = {card["id"]: card for card in client.get("/v1/models").json()["data"]}
    assert cards[version.name]["root"] == str(seen / version.path.relative_to(registry.root))
    await mapped.retire_lora(version)
    await mapped.close()


async def test_a_lora_that_the_server_can_not_see_is_refused_with_its_words(
    peer: VllmPeer, registry: LoraRegistry, tmp_path: Path
) -> None:
    """A path that isn't there on the server's side refuses the LoRA in the server's words; the engine goes on."""
    version = publish(registry, "numbered", "rad/900002")
    blind = await start_engine(settings(peer, tmp_path, loras=registry.root, loras_seen_at=tmp_path / "nowhere"))
    with pytest.raises(LoraRefused, match="No adapter found"):
        await blind.generate(ask(version))
    assert (await blind.generate(ask(None))).text
    await blind.close()


async def test_swapped_weights_are_never_sent(peer: VllmPeer, registry: LoraRegistry, tmp_path: Path) -> None:
    """Weights that aren't those that were published are refused before the server hears of them."""
    version = publish(registry, "numbered", "rad/900003")
    shutil.copy(PACKAGED / "loras/elaborate/adapter_model.safetensors", version.path)
    running = await start_engine(settings(peer, tmp_path, loras=registry.root))
    with pytest.raises(LoraRefused, match="digest differs"):
        await running.ensure_lora(version)
    assert version.name not in peer.names()
    await running.close()


async def test_only_listed_loras_serve_where_none_may_be_loaded(
    peer: VllmPeer, engine: Engine, loras: list[LoraVersion], registry: LoraRegistry, tmp_path: Path
) -> None:
    """Without `load_loras` a version serves when the server lists exactly it; any other is refused with what to do."""
    await engine.ensure_lora(loras[0])
    fixed = await start_engine(settings(peer, tmp_path, load_loras=False))
    assert (await fixed.generate(ask(loras[0]))).text == (await engine.generate(ask(loras[0]))).text
    with pytest.raises(LoraRefused, match="--lora-modules"):
        await fixed.generate(ask(publish(registry, "numbered", "rad/900004")))
    await fixed.retire_lora(loras[0])
    assert loras[0].name in peer.names()
    await fixed.close()


async def test_a_wrong_key_is_told_at_once_and_never_shown(peer: VllmPeer, tmp_path: Path) -> None:
    """A server that refuses the key keeps the engine from starting; the message names the setting and not the key."""
    with pytest.raises(ConfigError, match=r"openai\.api_key_file") as refused:
        await start_engine(settings(peer, tmp_path, key="another-made-up"))
    assert "made-up" not in str(refused.value)


async def test_a_model_that_the_server_has_not_is_told_at_once(peer: VllmPeer, tmp_path: Path) -> None:
    """A name that the server doesn't list keeps the engine from starting, and the message has those it lists."""
    with pytest.raises(ConfigError, match=peer.model):
        await start_engine(settings(peer, tmp_path, model="llama-of-elsewhere"))


async def test_cancelling_ends_the_work_there(peer: VllmPeer, engine: OpenAIEngine) -> None:
    """Prompts that are cancelled in the middle of their text are dropped by the server, not written to their end."""
    await until_idle(peer)
    finished = await count(peer, "request_success_total")
    begun = [asyncio.Event() for _ in range(MAX_QUEUE)]
    prompt = ask(None, text=ENDLESS, tokens=400)
    asking = [asyncio.create_task(engine.generate(prompt, set_when_heard(event))) for event in begun]
    await all_heard(begun, asking)
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    await until_idle(peer)
    # a starved machine may have written one to its end before it heard
    assert await count(peer, "request_success_total") < finished + len(asking)
    assert engine.stats().running == 0


async def all_heard(begun: list[asyncio.Event], asking: list[asyncio.Task[Generated]]) -> None:
    """Wait until every prompt has text; one that fails without any ends the wait with its reason."""
    hearing = [asyncio.create_task(event.wait()) for event in begun]
    for heard, task in zip(hearing, asking, strict=True):
        await asyncio.wait({heard, task}, return_when=asyncio.FIRST_COMPLETED)
        if not heard.done():
            assert task.result().text
        await heard


def set_when_heard(event: asyncio.Event) -> OnText:
    return lambda _: event.set()


async def until_idle(peer: VllmPeer) -> None:
    async with asyncio.timeout(600):
        while await count(peer, "num_requests_running"):
            await asyncio.sleep(0.05)


async def count(peer: VllmPeer, name: str) -> float:
    """The sum of one of vLLM's own metrics."""
    with peer.client() as client:
        page = await asyncio.to_thread(client.get, "/metrics")
    lines = (line for line in page.text.splitlines() if line.startswith(f"vllm:{name}{{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines)
