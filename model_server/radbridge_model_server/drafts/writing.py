"""`Writer`: has the first LoRA of the chain that is to be had write a text, well before the deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from radbridge.errors import DeadlinePassed, LoraRefused, ModelError, ModelOverloaded, ModelUnavailable, PromptTooLong
from radbridge.prompt import PromptInput, Template
from radbridge.registry import LoraVersion
from radbridge_model_server.drafts.context import fit_prompt
from radbridge_model_server.drafts.prepared import Prepared
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
class Written:
    """What the engine made of one request: a text for each statement, or one for the whole."""

    generated: tuple[Generated | None, ...]
    """None where a statement alone is longer than the context."""
    lora: LoraVersion | None
    cut: bool
    """Whether the model didn't see all findings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """Asks the engine. A LoRA that isn't in memory gets `wait_share` of what is left of the deadline to come."""

    engine: Engine
    keeper: LoraKeeper
    whole: bool
    template: Template
    max_new_tokens: int
    wait_share: float

    async def write(
        self, prepared: Prepared, links: Iterable[Link], fallback: list[str], on_text: OnText | None = None
    ) -> Written | None:
        """The texts by the first link that works; None where none does. Reasons are added to `fallback`.

        A whole text goes to `on_text` as it grows. Raises ModelOverloaded.
        """
        texts, cut = await asyncio.to_thread(self._build_prompts, prepared)
        if not any(texts):
            fallback.append(_reason(PromptTooLong(0, 0)))
            return None
        now = time.monotonic()
        until = now + self.wait_share * (prepared.engine_deadline - now)
        for link in links:
            if link.missing:
                fallback.append(link.missing)
                continue
            try:
                with self.keeper.use(link.lora):
                    if link.lora and not await self.keeper.wait_for(link.lora, until):
                        fallback.append(f"{link.label} still loading")
                        continue
                    prompts = list(self._ask(texts, link.lora, prepared.engine_deadline))
                    async with _at_the_latest(prepared):
                        generated = iter(await _generate(self.engine, prompts, on_text if self.whole else None))
                return Written(generated=tuple(next(generated) if t else None for t in texts), lora=link.lora, cut=cut)
            except LoraRefused as refusal:
                fallback.append(f"{link.label} refused: {refusal.reason}")
            except ModelOverloaded:
                raise
            except (DeadlinePassed, PromptTooLong, ModelUnavailable) as error:
                fallback.append(_reason(error))
                return None
            except Exception:
                log.exception("engine failed")
                fallback.append(_reason(ModelUnavailable()))
                return None
        return None

    def _ask(self, texts: Sequence[str | None], lora: LoraVersion | None, deadline: float) -> Iterator[Prompt]:
        for text in texts:
            if text:
                yield Prompt(text=text, lora=lora, max_new_tokens=self.max_new_tokens, deadline=deadline)

    def _build_prompts(self, prepared: Prepared) -> tuple[tuple[str | None, ...], bool]:
        """The prompts, None for one that can't be made to fit, and whether findings were cut so that one did.

        The whole path sees all. A rewrite sees its own statement: beside a whole report a small model loses its place
        while it copies (`docs/decisions/0008-a-rewrite-keeps-what-it-rewrites.md`).
        """
        fitted = [self._fit(view) for view in self._views(prepared)]
        return tuple(text for text, _ in fitted), self.whole and any(cut for _, cut in fitted)

    def _views(self, prepared: Prepared) -> list[PromptInput]:
        request = prepared.request
        case = PromptInput(
            findings=request.findings,
            indication=request.indication,
            comparison=request.comparison,
            prior=request.prior,
            modality=request.modality,
            sex=request.sex,
            age=request.age,
        )
        if self.whole:
            return [case]
        return [
            replace(case, findings=s, indication="", comparison="", prior="", coarse=s) for s in prepared.statements
        ]

    def _fit(self, view: PromptInput) -> tuple[str | None, bool]:
        limit, count = self.engine.context_tokens - self.max_new_tokens, self.engine.count_tokens
        text, cut = fit_prompt(view, count=count, limit=limit, template=self.template)
        return (None if cut and count(text) > limit else text), cut


def _reason(error: ModelError) -> str:
    return next(reason for kind, reason in _NO_FINE_TEXT if isinstance(error, kind))


@asynccontextmanager
async def _at_the_latest(prepared: Prepared) -> AsyncIterator[None]:
    """Raises DeadlinePassed a little after the engine should have: one that is loading weights may not look up."""
    latest = (prepared.engine_deadline + prepared.deadline) / 2
    try:
        async with asyncio.timeout(latest - time.monotonic()):
            yield
    except TimeoutError:
        raise DeadlinePassed(round(latest - prepared.received, 3)) from None


async def _generate(engine: Engine, prompts: Sequence[Prompt], on_text: OnText | None) -> Sequence[Generated]:
    """All of them, side by side; when one fails nobody waits for the others."""
    tasks = [asyncio.create_task(engine.generate(prompt, on_text)) for prompt in prompts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
