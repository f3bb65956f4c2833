"""`Engine`: what turns a prompt and a LoRA version into text, be it transformers, vLLM or a server elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from radbridge.registry import LoraVersion

OnText = Callable[[str], None]
"""Gets a piece of text as soon as it is there, on the event loop. All pieces joined, stripped, are `Generated.text`."""


class Finish(StrEnum):
    """Why a text ended."""

    STOP = "stop"
    LENGTH = "length"
    REPETITION = "repetition"
    """The model went round in circles; the text is not to be shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One text to continue."""

    text: str = field(repr=False)
    lora: LoraVersion | None = None
    """None: the base model alone."""
    max_new_tokens: int = 256
    deadline: float = math.inf
    """`time.monotonic()` after which nobody waits for the text any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """The continuation of one prompt."""

    text: str = field(repr=False)
    finish: Finish
    prompt_tokens: int
    tokens: int
    queue_ms: float
    engine_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineStats:
    """Counts since the start, for metrics."""

    queued: int
    running: int
    generated: int
    batches: int
    tokens: int
    late: int
    """Prompts dropped because their deadline passed."""
    overloaded: int
    loras: tuple[str, ...]
    """Names of the LoRA versions in memory, least recently used first."""


class Engine(Protocol):
    """Generates text. Every method may be called from one event loop, at any time between start and `close`."""

    @property
    def model(self) -> str:
        """The base model's name."""
        ...

    @property
    def base_digest(self) -> str:
        """`radbridge.registry.digest_weights` of the base model."""
        ...

    @property
    def prompt_version(self) -> str:
        """The prompt version that the base reads where no LoRA writes; a LoRA has one of its own."""
        ...

    @property
    def context_tokens(self) -> int:
        """Tokens that prompt and continuation may have together."""
        ...

    def count_tokens(self, text: str) -> int:
        """How many tokens a prompt is."""
        ...

    async def generate(self, prompt: Prompt, on_text: OnText | None = None) -> Generated:
        """Continue the prompt, loading its LoRA when it isn't in memory. Cancelling stops the work.

        Raises DeadlinePassed, ModelOverloaded (the queue is full), LoraRefused, PromptTooLong or ModelUnavailable.
        """
        ...

    async def ensure_lora(self, version: LoraVersion) -> None:
        """Load a LoRA ahead of its first prompt. Raises LoraRefused."""
        ...

    async def retire_lora(self, version: LoraVersion) -> None:
        """Free a LoRA's memory once the prompts that use it are done; unknown versions are no error."""
        ...

    def check_health(self) -> None:
        """Raise ModelUnavailable when the engine's loop makes no progress."""
        ...

    def stats(self) -> EngineStats: ...

    async def close(self) -> None:
        """Stop; prompts that still wait get ModelUnavailable."""
        ...
