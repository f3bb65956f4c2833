"""What every `Engine` promises: the echo that tests use, and the one that hospitals run."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from radbridge.errors import DeadlinePassed, LoraRefused, ModelOverloaded, ModelUnavailable, PromptTooLong
from radbridge.registry import LoraRegistry, LoraVersion, digest_weights
from radbridge_model_server.engine import Engine, Finish, Prompt
from radbridge_model_server.testing import EchoEngine
from radbridge_model_server.transformers_engine import EngineLimits, TransformersEngine
from tests.support.tiny_model import make_base, make_lora, publish

TEXT = "Study: CT\nFindings: There is a 5 mm nodule.\nPreliminary: 5 mm nodule.\nImpression:\n"
MAX_QUEUE = 4

# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def loras(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[LoraVersion]:
    folder = tmp_path_factory.mktemp("loras")
    registry = LoraRegistry(folder / "registry")
    return [
        publish(registry, make_lora(base, folder / str(seed), seed=seed), f"rad/90000{seed}", base)
        for seed in (1, 2, 3)
    ]


@pytest.fixture(params=["echo", "transformers"])
async def engine(request: pytest.FixtureRequest, base: Path) -> AsyncIterator[Engine]:
    if request.param == "echo":
        echo = EchoEngine(base_digest=digest_weights(base), max_queue=MAX_QUEUE)
        yield echo
        await echo.close()
        return
    real = TransformersEngine(base, limits=EngineLimits(max_queue=MAX_QUEUE, max_batch=MAX_QUEUE, max_loras=2))
    await real.start()
    yield real
    await real.close()


def _prompt(
    lora: LoraVersion | None = None, *, text: str = TEXT, tokens: int = 24, deadline: float = math.inf
) -> Prompt:
    return Prompt(text=text, lora=lora, max_new_tokens=tokens, deadline=deadline)


async def test_generated_text_keeps_to_the_tokens_allowed(engine: Engine) -> None:
    """A continuation has text, no more tokens than asked for, and says why it ended."""
    generated = await engine.generate(_prompt(tokens=3))
    assert 1 <= generated.tokens <= 3
    assert generated.finish in Finish
    assert generated.prompt_tokens == engine.count_tokens(TEXT)
    assert generated.engine_ms >= 0
    assert generated.queue_ms >= 0


async def test_mixed_loras_in_one_batch_write_what_they_write_alone(engine: Engine, loras: list[LoraVersion]) -> None:
    """Prompts of several LoRAs and the base, asked at once, get the text that each gets alone."""
    prompts = [
        _prompt(lora, text=TEXT * length) for length, lora in ((1, None), (2, loras[0]), (3, loras[1]), (1, loras[0]))
    ]
    alone = [(await engine.generate(prompt)).text for prompt in prompts]
    together = [generated.text for generated in await asyncio.gather(*map(engine.generate, prompts))]
    assert together == alone


async def test_more_loras_than_fit_are_served_in_turn(engine: Engine, loras: list[LoraVersion]) -> None:
    """Asking for more LoRAs at once than stay in memory gets every one its text."""
    prompts = [_prompt(lora, tokens=4) for lora in (*loras, None)]
    generated = await asyncio.gather(*map(engine.generate, prompts))
    assert all(g.text for g in generated)
    again = [(await engine.generate(prompt)).text for prompt in prompts]
    assert again == [g.text for g in generated]


async def test_a_late_prompt_is_dropped(engine: Engine) -> None:
    """A prompt whose deadline has passed raises DeadlinePassed, is counted, and the next one is answered."""
    with pytest.raises(DeadlinePassed):
        await engine.generate(_prompt(deadline=time.monotonic() - 1))
    assert engine.stats().late == 1
    assert (await engine.generate(_prompt())).text


async def test_a_full_queue_refuses_at_once(engine: Engine) -> None:
    """More prompts than the queue holds raise ModelOverloaded with a time to return; those that wait are answered."""
    asked = await asyncio.gather(*(engine.generate(_prompt()) for _ in range(4 * MAX_QUEUE)), return_exceptions=True)
    refused = [a for a in asked if isinstance(a, ModelOverloaded)]
    assert refused
    assert refused[0].retry_after_s > 0
    assert len(asked) - len(refused) >= MAX_QUEUE
    assert not [a for a in asked if isinstance(a, BaseException) and not isinstance(a, ModelOverloaded)]
    assert engine.stats().overloaded == len(refused)


@pytest.mark.parametrize("change", [{"base_digest": "f" * 64}, {"prompt_version": "p0"}], ids=["base", "prompt"])
async def test_a_lora_made_for_something_else_is_refused(
    engine: Engine, loras: list[LoraVersion], change: dict[str, str]
) -> None:
    """A LoRA of another base or another prompt version raises LoraRefused, alone and beside prompts that are fine."""
    foreign = replace(loras[0], **change)  # type: ignore[arg-type]  # one field at a time
    with pytest.raises(LoraRefused):
        await engine.ensure_lora(foreign)
    bad, good = await asyncio.gather(
        engine.generate(_prompt(foreign)), engine.generate(_prompt(loras[0])), return_exceptions=True
    )
    assert isinstance(bad, LoraRefused)
    assert not isinstance(good, BaseException)
    assert good.text


async def test_loras_come_and_go(engine: Engine, loras: list[LoraVersion]) -> None:
    """A LoRA is in memory once ensured, not once retired, and comes back by itself; retiring twice is no error."""
    await engine.ensure_lora(loras[0])
    first = await engine.generate(_prompt(loras[0]))
    assert loras[0].name in engine.stats().loras
    await engine.retire_lora(loras[0])
    await engine.retire_lora(loras[0])
    await engine.generate(_prompt())
    assert loras[0].name not in engine.stats().loras
    assert (await engine.generate(_prompt(loras[0]))).text == first.text


async def test_a_prompt_beyond_the_context_is_refused(engine: Engine) -> None:
    """A prompt that leaves no room for its continuation raises PromptTooLong with the numbers."""
    with pytest.raises(PromptTooLong) as refused:
        await engine.generate(_prompt(text="word " * 1000, tokens=8))
    assert refused.value.tokens > refused.value.limit == engine.context_tokens - 8


async def test_a_cancelled_prompt_costs_the_others_nothing(engine: Engine) -> None:
    """Cancelling one prompt ends its wait at once; the engine goes on."""
    asking = asyncio.create_task(engine.generate(_prompt(tokens=200)))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await engine.generate(_prompt())).text


async def test_a_closed_engine_says_so(engine: Engine) -> None:
    """After `close` nothing is generated, and the health check fails; before, it doesn't."""
    engine.check_health()
    await engine.close()
    with pytest.raises(ModelUnavailable):
        await engine.generate(_prompt())
    with pytest.raises(ModelUnavailable):
        engine.check_health()


async def test_work_is_counted(engine: Engine) -> None:
    """Every text that was generated counts once."""
    await asyncio.gather(*(engine.generate(_prompt(tokens=2)) for _ in range(3)))
    assert engine.stats().generated == 3
    assert engine.stats().tokens >= 3
    assert engine.stats().running == 0
