"""What the engine on transformers promises beyond the contract of every engine."""

from __future__ import annotations

import asyncio
import threading
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from radbridge.errors import LoraRefused, ModelOverloaded
from radbridge.registry import LoraRegistry
from radbridge_model_server.engines import transformers_engine
from radbridge_model_server.engines.engine import Prompt
from radbridge_model_server.engines.prompt_job import PromptJob
from radbridge_model_server.engines.start import start_engine
from radbridge_model_server.engines.transformers_engine import retry_after_s
from radbridge_model_server.settings import Settings
from tests.support.tiny_model import make_base, make_lora, publish

# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

QUEUE = 16


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize(
    ("prompts", "batch_s", "expected"),
    [(1, 2.0, 2.0), (16, 2.0, 2.0), (17, 2.0, 4.0), (16, 0.01, 0.5), (256, 9.0, 30.0)],
)
def test_who_is_turned_away_is_told_when_the_queue_will_be_done(prompts: int, batch_s: float, expected: float) -> None:
    """The time to come back in is what the batches ahead take at the pace of late, within bounds."""
    assert retry_after_s(prompts, 16, batch_s) == expected


async def test_the_pace_is_measured(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that has done its prompts in moments tells who is turned away less than it would at the start."""
    moments = count()
    monkeypatch.setattr(
        transformers_engine, "time", SimpleNamespace(monotonic=lambda: next(moments) / 1000)
    )  # whatever the machine is busy with
    engine = await start_engine(Settings(base=base, max_batch=1, max_queue=QUEUE))
    prompt = Prompt(text="Findings: ", max_new_tokens=1)
    waits = []
    for _ in range(2):
        told = await asyncio.gather(*(engine.generate(prompt) for _ in range(8 * QUEUE)), return_exceptions=True)
        waits += [refused.retry_after_s for refused in told if isinstance(refused, ModelOverloaded)]
    await engine.close()
    assert len(waits) >= 2
    assert waits[-1] < waits[0]


async def test_a_lora_under_another_template_is_refused(base: Path, tmp_path: Path) -> None:
    """The engine says the prompt version of its template, and a LoRA that was trained with another one isn't loaded."""
    lora = publish(LoraRegistry(tmp_path / "registry"), make_lora(base, tmp_path / "lora", seed=1), "rad/900001", base)
    engine = await start_engine(Settings(base=base, prompt_template="alpaca"))
    assert engine.prompt_version == "p2-alpaca"
    with pytest.raises(LoraRefused, match="p1-alpaca"):
        await engine.ensure_lora(lora)
    await engine.close()


async def test_only_targets_that_the_config_names_are_changed(base: Path, tmp_path: Path) -> None:
    """A LoRA on a layer beyond `lora_targets` is refused."""
    lora = publish(LoraRegistry(tmp_path / "registry"), make_lora(base, tmp_path / "lora", seed=1), "rad/900001", base)
    engine = await start_engine(Settings(base=base, lora_targets=("q_proj", "v_proj")))
    with pytest.raises(LoraRefused, match="target modules"):
        await engine.ensure_lora(lora)
    await engine.close()


async def test_a_shorter_context_than_the_models_holds(base: Path) -> None:
    """`context_tokens` in the config is the engine's, and its name is what drafts call the base."""
    engine = await start_engine(Settings(base=base, context_tokens=128, name="radbridge-test"))
    assert engine.context_tokens == 128
    assert engine.model == "radbridge-test"
    await engine.close()


async def test_text_comes_while_it_is_written(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first piece is heard the prompt is still being worked on."""
    engine = await start_engine(Settings(base=base))
    running: list[int] = []
    heard, tell = threading.Event(), PromptJob._tell  # noqa: SLF001 - the engine goes on once the first is heard

    def tell_and_wait(job: PromptJob, piece: str) -> None:
        tell(job, piece)
        assert not piece or heard.wait(60)

    def hear(_: str) -> None:
        running.append(engine.stats().running)
        heard.set()

    monkeypatch.setattr(PromptJob, "_tell", tell_and_wait)
    await engine.generate(Prompt(text="Findings: ", max_new_tokens=200), hear)
    await engine.close()
    assert running[0] == 1
