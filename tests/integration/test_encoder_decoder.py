"""An encoder-decoder base (T5): the promises of every engine, and what is its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from radbridge.registry import LoraRegistry, LoraVersion
from radbridge_model_server.engines.engine import Engine, Prompt
from radbridge_model_server.engines.start import start_engine
from radbridge_model_server.settings import Settings
from tests.contract.engine_suite import *  # noqa: F403 - every test of the suite
from tests.contract.engine_suite import MAX_QUEUE, TEXT
from tests.support.tiny_model import T5_TARGETS, make_lora, make_t5_base, publish

TARGETS = ("q", "k", "v", "o", "wi_0", "wi_1", "wo")

# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_t5_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def loras(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[LoraVersion]:
    folder = tmp_path_factory.mktemp("loras")
    registry = LoraRegistry(folder / "registry")
    return [
        publish(registry, make_lora(base, folder / str(seed), seed=seed, targets=T5_TARGETS), f"rad/90000{seed}", base)
        for seed in (1, 2, 3)
    ]


@pytest.fixture
async def engine(base: Path) -> AsyncIterator[Engine]:
    running = await start_engine(
        Settings(base=base, lora_targets=TARGETS, max_queue=MAX_QUEUE, max_batch=MAX_QUEUE, max_loras=2)
    )
    yield running
    await running.close()


async def test_its_context_is_what_it_was_trained_on(engine: Engine, base: Path) -> None:
    """T5 has relative positions and no longest one: the context is `n_positions`, or what the settings say."""
    assert engine.context_tokens == 512
    longer = await start_engine(Settings(base=base, lora_targets=TARGETS, context_tokens=1024))
    assert longer.context_tokens == 1024
    await longer.close()


async def test_the_prompt_is_no_part_of_the_text(engine: Engine, loras: list[LoraVersion]) -> None:
    """The decoder writes the continuation alone, and a LoRA changes it."""
    texts = [
        (await engine.generate(Prompt(text=TEXT, lora=lora, max_new_tokens=24))).text for lora in (None, *loras[:2])
    ]
    assert all(text and not text.startswith("Study") for text in texts)
    assert len(set(texts)) == 3
