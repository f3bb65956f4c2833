"""An engine without weights, for tests of whatever stands around one. It keeps every promise of `Engine`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from radbridge.errors import DeadlinePassed, LoraRefused, ModelOverloaded, ModelUnavailable, PromptTooLong
from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import LoraVersion, digest_weights
from radbridge_model_server.engine import EngineStats, Finish, Generated, OnText, Prompt
from radbridge_model_server.settings import Settings

_ECHOED = "Preliminary: "


class EchoEngine:
    """Answers with what `say` makes of a prompt: its preliminary impression, or its last line. Words count as tokens.

    `delay_s` is what a prompt takes. At most `max_queue` may be under way at once.
    """

    def __init__(
        self,
        *,
        say: Callable[[str], str] | None = None,
        base_digest: str = "0" * 64,
        context_tokens: int = 512,
        max_queue: int = 64,
        delay_s: float = 0.0,
    ) -> None:
        self._say = say or _echo
        self.model = "echo"
        self.base_digest = base_digest
        self.prompt_version = PROMPT_VERSION
        self.context_tokens = context_tokens
        self._max_queue = max_queue
        self._delay_s = delay_s
        self._running = 0
        self._generated = self._tokens = self._late = self._overloaded = 0
        self._loras: dict[LoraVersion, None] = {}
        self._closed = False

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def generate(self, prompt: Prompt, on_text: OnText | None = None) -> Generated:
        tokens = self.count_tokens(prompt.text)
        self._admit(tokens, prompt)
        if prompt.lora:
            await self.ensure_lora(prompt.lora)
        began = time.monotonic()
        self._running += 1
        try:
            await asyncio.sleep(min(self._delay_s, max(0.0, prompt.deadline - began)))
        finally:
            self._running -= 1
        if time.monotonic() >= prompt.deadline:
            self._late += 1
            raise DeadlinePassed(round(prompt.deadline - began, 3))
        generated = self._answer(prompt, tokens, began)
        if on_text:
            for word in generated.text.split():
                on_text(f"{word} ")
        return generated

    async def ensure_lora(self, version: LoraVersion) -> None:
        if self._closed:
            raise ModelUnavailable
        if version.base_digest != self.base_digest:
            raise LoraRefused(version.name, "it was trained on another base model (base digest differs)")
        if version.prompt_version != self.prompt_version:
            raise LoraRefused(version.name, "its prompt version differs")
        self._loras[version] = None

    async def retire_lora(self, version: LoraVersion) -> None:
        self._loras.pop(version, None)

    def check_health(self) -> None:
        if self._closed:
            raise ModelUnavailable

    def stats(self) -> EngineStats:
        return EngineStats(
            queued=0,
            running=self._running,
            generated=self._generated,
            batches=self._generated,
            tokens=self._tokens,
            late=self._late,
            overloaded=self._overloaded,
            loras=tuple(v.name for v in self._loras),
        )

    async def close(self) -> None:
        self._closed = True

    def _admit(self, tokens: int, prompt: Prompt) -> None:
        if self._closed:
            raise ModelUnavailable
        limit = self.context_tokens - prompt.max_new_tokens
        if tokens > limit:
            raise PromptTooLong(tokens, limit)
        if self._running >= self._max_queue:
            self._overloaded += 1
            raise ModelOverloaded(retry_after_s=1.0)

    def _answer(self, prompt: Prompt, tokens: int, began: float) -> Generated:
        words = self._say(prompt.text).split()
        kept = words[: prompt.max_new_tokens]
        self._generated += 1
        self._tokens += len(kept)
        return Generated(
            text=" ".join(kept),
            finish=Finish.STOP if len(kept) == len(words) else Finish.LENGTH,
            prompt_tokens=tokens,
            tokens=len(kept),
            queue_ms=0.0,
            engine_ms=(time.monotonic() - began) * 1000,
        )


async def start_engine(settings: Settings) -> EchoEngine:
    """`engine: echo`."""
    digest = digest_weights(settings.base) if settings.base.is_dir() else "0" * 64
    return EchoEngine(base_digest=digest, max_queue=settings.max_queue, context_tokens=4096)


def _echo(prompt: str) -> str:
    lines = [line for line in prompt.splitlines() if line.strip() and line != "Impression:"] or [""]
    return next((line for line in lines if line.startswith(_ECHOED)), lines[-1]).removeprefix(_ECHOED)
