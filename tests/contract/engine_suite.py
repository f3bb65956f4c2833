"""What every `Engine` promises, as tests.

A test module gives the fixtures `engine` and `loras`, and says `from tests.contract.engine_suite import *`. An engine
may be shared by the tests of a module; one that is gives `ending` too, an engine that may be closed. It is started with
`max_queue=MAX_QUEUE` and with fewer LoRAs at once than `loras` has (three).
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace

import pytest

from radbridge.errors import DeadlinePassed, LoraRefused, ModelOverloaded, ModelUnavailable, PromptTooLong
from radbridge.prompt import Template, readable_versions
from radbridge.registry import LoraVersion
from radbridge_model_server.engines.engine import Engine, Finish, Prompt

TEXT = "Study: CT\nFindings: There is a 5 mm nodule.\nPreliminary: 5 mm nodule.\nImpression:\n"
MAX_QUEUE = 4


@pytest.fixture
def ending(engine: Engine) -> Engine:
    return engine


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


async def test_text_streams_as_it_is_written(engine: Engine, loras: list[LoraVersion]) -> None:
    """The pieces come one after the other before the answer, and are the answer when joined and stripped."""
    for lora in (None, loras[0]):
        pieces: list[str] = []
        generated = await engine.generate(_prompt(lora), pieces.append)
        assert "".join(pieces).strip() == generated.text
        assert len(pieces) >= 2


async def test_prompts_asked_at_once_stream_apart(engine: Engine, loras: list[LoraVersion]) -> None:
    """Every prompt of a batch gets its own pieces and nobody else's."""
    heard: list[list[str]] = [[] for _ in range(4)]
    prompts = [_prompt(lora) for lora in (None, loras[0], loras[1], None)]
    asked = (engine.generate(prompt, pieces.append) for prompt, pieces in zip(prompts, heard, strict=True))
    told = [generated.text for generated in await asyncio.gather(*asked)]
    assert ["".join(pieces).strip() for pieces in heard] == told


async def test_the_engine_names_its_prompt_version(engine: Engine, loras: list[LoraVersion]) -> None:
    """It is what the base was trained to read, and a LoRA of that version is let in."""
    assert engine.prompt_version in readable_versions(Template.PLAIN)
    assert engine.prompt_version == loras[0].prompt_version
    await engine.ensure_lora(loras[0])


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
    late = engine.stats().late
    with pytest.raises(DeadlinePassed):
        await engine.generate(_prompt(deadline=time.monotonic() - 1))
    assert engine.stats().late == late + 1
    assert (await engine.generate(_prompt())).text


async def test_a_full_queue_refuses_at_once(engine: Engine) -> None:
    """More prompts than the queue holds raise ModelOverloaded with a time to return; those that wait are answered."""
    overloaded = engine.stats().overloaded
    asked = await asyncio.gather(*(engine.generate(_prompt()) for _ in range(16 * MAX_QUEUE)), return_exceptions=True)
    refused = [a for a in asked if isinstance(a, ModelOverloaded)]
    assert refused
    assert refused[0].retry_after_s > 0
    assert len(asked) - len(refused) >= MAX_QUEUE
    assert not [a for a in asked if isinstance(a, BaseException) and not isinstance(a, ModelOverloaded)]
    assert engine.stats().overloaded == overloaded + len(refused)


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
        await engine.generate(_prompt(text="word " * engine.context_tokens, tokens=8))
    assert refused.value.tokens > refused.value.limit == engine.context_tokens - 8


async def test_a_cancelled_prompt_costs_the_others_nothing(engine: Engine) -> None:
    """Cancelling one prompt ends its wait at once; the engine goes on."""
    asking = asyncio.create_task(engine.generate(_prompt(tokens=200)))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await engine.generate(_prompt())).text


async def test_a_closed_engine_says_so(ending: Engine) -> None:
    """After `close` nothing is generated, and the health check fails; before, it doesn't. Who waits is told."""
    ending.check_health()
    waiting = [asyncio.create_task(ending.generate(_prompt(tokens=200))) for _ in range(MAX_QUEUE)]
    await asyncio.sleep(0)
    await ending.close()
    for answer in await asyncio.gather(*waiting, return_exceptions=True):
        assert not isinstance(answer, BaseException) or isinstance(answer, ModelUnavailable)
    with pytest.raises(ModelUnavailable):
        await ending.generate(_prompt())
    with pytest.raises(ModelUnavailable):
        ending.check_health()


async def test_work_is_counted(engine: Engine) -> None:
    """Every text that was generated counts once."""
    before = engine.stats()
    await asyncio.gather(*(engine.generate(_prompt(tokens=2)) for _ in range(3)))
    assert engine.stats().generated == before.generated + 3
    assert engine.stats().tokens >= before.tokens + 3
    assert engine.stats().running == 0
