"""`Asker`: has the first LoRA of a chain that is to be had write, well before the deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from radbridge.errors import DeadlinePassed, LoraRefused, ModelError, ModelOverloaded, ModelUnavailable, PromptTooLong
from radbridge.registry import LoraVersion
from radbridge_model_server.drafts.prepared import Author, Limits
from radbridge_model_server.engines.engine import Engine, Generated, OnText, Prompt
from radbridge_model_server.loras.chain import Link
from radbridge_model_server.loras.keeper import LoraKeeper

log = structlog.get_logger(__name__)

_NO_FINE_TEXT: tuple[tuple[type[ModelError], str], ...] = (
    (DeadlinePassed, "no fine text before the deadline"),
    (PromptTooLong, "no fine text: too long for the model's context"),
    (ModelUnavailable, "no fine text: the engine failed"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompts:
    """What one LoRA is asked for one request: a text for each statement, or one for the whole."""

    texts: tuple[str | None, ...] = field(repr=False)
    """None where a statement alone is longer than the context."""
    cut: bool = False
    """Whether the model doesn't see all findings."""
    examples: tuple[str, ...] = ()
    """The ids of the signed reports that are in view."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What the engine made of `Prompts`."""

    generated: tuple[Generated | None, ...]
    """One for each text that was asked for; None where none was."""
    author: Author
    cut: bool
    examples: tuple[str, ...]

    @property
    def lora(self) -> LoraVersion | None:
        """Whose weights wrote it; None: the base alone."""
        return self.author.lora


@dataclass(frozen=True, kw_only=True, slots=True)
class Asker:
    """Asks the engine. A LoRA that isn't in memory gets `wait_share` of what is left of the time to come."""

    engine: Engine
    keeper: LoraKeeper
    max_new_tokens: int
    wait_share: float

    async def ask(
        self,
        build: Callable[[str], Prompts],
        links: Iterable[Link],
        limits: Limits,
        fallback: list[str],
        on_text: OnText | None = None,
    ) -> Written | None:
        """What the first link that works writes; None where none does. Reasons are added to `fallback`.

        `build` makes the prompts for weights of a prompt version. A single text goes to `on_text` as it grows. Raises
        ModelOverloaded.
        """
        now = time.monotonic()
        until = now + self.wait_share * (limits.engine - now)
        for link in links:
            if link.missing:
                fallback.append(link.missing)
                continue
            try:
                with self.keeper.use(link.lora):
                    if link.lora and not await self.keeper.wait_for(link.lora, until):
                        fallback.append(f"{link.label} still loading")
                        continue
                    return await self._have_written(build, self._author(link.lora), limits, on_text)
            except LoraRefused as refusal:
                fallback.append(f"{link.label} refused: {refusal.reason}")
            except ModelOverloaded:
                raise
            except (DeadlinePassed, PromptTooLong, ModelUnavailable) as error:
                fallback.append(_reason(error))
                return None
            except Exception:  # whatever an engine fails with costs its text and not the draft (rule 4)
                log.exception("engine failed")
                fallback.append(_reason(ModelUnavailable()))
                return None
        return None

    def _author(self, lora: LoraVersion | None) -> Author:
        return Author(lora=lora, prompt_version=lora.prompt_version if lora else self.engine.prompt_version)

    async def _have_written(
        self, build: Callable[[str], Prompts], author: Author, limits: Limits, on_text: OnText | None
    ) -> Written:
        asked = await asyncio.to_thread(build, author.prompt_version)
        if not any(asked.texts):
            raise PromptTooLong(0, 0)
        prompts = list(self._put(asked.texts, author.lora, limits.engine))
        async with _at_the_latest(limits):
            generated = iter(await _generate(self.engine, prompts, on_text))
        return Written(
            generated=tuple(next(generated) if text else None for text in asked.texts),
            author=author,
            cut=asked.cut,
            examples=asked.examples,
        )

    def _put(self, texts: Sequence[str | None], lora: LoraVersion | None, deadline: float) -> Iterator[Prompt]:
        for text in texts:
            if text:
                yield Prompt(text=text, lora=lora, max_new_tokens=self.max_new_tokens, deadline=deadline)


def _reason(error: ModelError) -> str:
    return next(reason for kind, reason in _NO_FINE_TEXT if isinstance(error, kind))


@asynccontextmanager
async def _at_the_latest(limits: Limits) -> AsyncIterator[None]:
    """Raises DeadlinePassed a little after the engine should have: one that is loading weights may not look up."""
    left = limits.latest - time.monotonic()
    try:
        async with asyncio.timeout(left):
            yield
    except TimeoutError:
        raise DeadlinePassed(round(left, 3)) from None


async def _generate(engine: Engine, prompts: Sequence[Prompt], on_text: OnText | None) -> Sequence[Generated]:
    """All of them, side by side; when one fails nobody waits for the others."""
    tasks = [asyncio.create_task(engine.generate(prompt, on_text)) for prompt in prompts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
