"""An engine without weights, for tests of whatever stands around one. It keeps every promise of `Engine`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from radbridge.errors import DeadlinePassed, LoraRefused, ModelOverloaded, ModelUnavailable, PromptTooLong
from radbridge.prompt import PROMPT_VERSION, Template, readable_versions
from radbridge.registry import LoraVersion, digest_weights
from radbridge_model_server.engines.engine import EngineStats, Finish, Generated, OnText, Prompt
from radbridge_model_server.engines.start import read_prompt_version
from radbridge_model_server.settings import Settings

_ECHOED = "Preliminary: "


class EchoEngine:
    """Answers with what `say` makes of a prompt: its preliminary impression, or its last line. Words count as tokens.

    `delay_s` is what a prompt takes before its answer, `word_s` each word of it; none is answered before `hold` is set.
    At most `max_queue` may be under way, and `max_batch` of them run. `load` is awaited whenever a LoRA comes into
    memory. `voices`: what LoRAs say, by name.
    """

    def __init__(
        self,
        *,
        say: Callable[[str], str] | None = None,
        voices: Mapping[str, str] | None = None,
        base_digest: str = "0" * 64,
        context_tokens: int = 512,
        max_queue: int = 64,
        delay_s: float = 0.0,
        word_s: float = 0.0,
        hold: asyncio.Event | None = None,
        max_batch: int = 64,
        prompt_version: str = PROMPT_VERSION,
        template: Template = Template.PLAIN,
        load: Callable[[LoraVersion], Awaitable[None]] | None = None,
    ) -> None:
        self._say = say or _echo
        self._voices = voices or {}
        self.model = "echo"
        self.base_digest = base_digest
        self.prompt_version = prompt_version
        self._readable = readable_versions(template)
        self.context_tokens = context_tokens
        self._max_queue = max_queue
        self._delay_s = delay_s
        self._word_s = word_s
        self._hold = hold
        self._load = load
        self._places = asyncio.Semaphore(max_batch)
        self._running = self._queued = 0
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
        try:
            async with asyncio.timeout_at(_loop_time(prompt.deadline)), self._place():
                if self._hold:
                    await self._hold.wait()
                await asyncio.sleep(self._delay_s)
                await self._speak(prompt, on_text)
        except TimeoutError:
            self._late += 1
            raise DeadlinePassed(round(prompt.deadline - began, 3)) from None
        return self._answer(prompt, tokens, began)

    async def ensure_lora(self, version: LoraVersion) -> None:
        if self._closed:
            raise ModelUnavailable
        if version.base_digest != self.base_digest:
            raise LoraRefused(version.name, "it was trained on another base model (base digest differs)")
        if version.prompt_version not in self._readable:
            raise LoraRefused(version.name, "its prompt version differs")
        if version not in self._loras and self._load:
            await self._load(version)
        self._loras[version] = None

    async def retire_lora(self, version: LoraVersion) -> None:
        self._loras.pop(version, None)

    def check_health(self) -> None:
        if self._closed:
            raise ModelUnavailable

    def stats(self) -> EngineStats:
        return EngineStats(
            queued=self._queued,
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
        if self._running + self._queued >= self._max_queue:
            self._overloaded += 1
            raise ModelOverloaded(retry_after_s=1.0)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Wait for a place in the batch, and have it."""
        self._queued += 1
        try:
            await self._places.acquire()
        finally:
            self._queued -= 1
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._places.release()

    async def _speak(self, prompt: Prompt, on_text: OnText | None) -> None:
        for word in self._words(prompt)[: prompt.max_new_tokens]:
            if on_text:
                on_text(f"{word} ")
            if self._word_s:
                await asyncio.sleep(self._word_s)

    def _words(self, prompt: Prompt) -> list[str]:
        voice = self._voices.get(prompt.lora.name) if prompt.lora else None
        return (self._say(prompt.text) if voice is None else voice).split()

    def _answer(self, prompt: Prompt, tokens: int, began: float) -> Generated:
        words = self._words(prompt)
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
    return EchoEngine(
        base_digest=digest,
        max_queue=settings.max_queue,
        context_tokens=4096,
        prompt_version=read_prompt_version(settings),
        template=settings.prompt_template,
    )


def _loop_time(deadline: float) -> float | None:
    return None if deadline == math.inf else deadline - time.monotonic() + asyncio.get_running_loop().time()


def _echo(prompt: str) -> str:
    lines = [line for line in prompt.splitlines() if line.strip() and line != "Impression:"] or [""]
    return next((line for line in lines if line.startswith(_ECHOED)), lines[-1]).removeprefix(_ECHOED)
