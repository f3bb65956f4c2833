"""`Admission`: who goes next into an engine that serves a few LoRAs at a time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmissionLimits:
    """How many prompts are let in at once, and how long one may be passed by."""

    places: int
    """Prompts under way at once."""
    max_loras: int
    """LoRAs that the prompts under way have together; the base model counts for none."""
    max_age_s: float = 2.0
    """Nobody passes a prompt that has waited so long."""
    max_overtakes: int = 64
    """Nobody passes a prompt that so many have passed."""


@dataclass(eq=False, kw_only=True, slots=True)
class _Waiter:
    lora: str | None
    since: float
    overtaken: int = 0
    admitted: asyncio.Event = field(default_factory=asyncio.Event)


class Admission:
    """Lets prompts in, first come, first served, with one exception that keeps the engine busy.

    A prompt whose LoRA has to wait for a place may be overtaken by prompts whose LoRA has one. A hot LoRA would starve
    a rare one so (vllm#16876): once the rare prompt is old enough, or was passed often enough, nobody passes it any
    more, and the next LoRA whose prompts are done makes room.
    """

    def __init__(self, limits: AdmissionLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._waiting: dict[_Waiter, None] = {}
        self._loras: Counter[str] = Counter()
        self._running = 0

    @property
    def waiting(self) -> int:
        """Prompts that have no place yet."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Prompts that have one."""
        return self._running

    @property
    def loras(self) -> frozenset[str]:
        """LoRAs of the prompts that have a place."""
        return frozenset(self._loras)

    @asynccontextmanager
    async def admit(self, lora: str | None) -> AsyncIterator[None]:
        """Wait for a place for a prompt of this LoRA, and hold it. Cancelling gives the place up."""
        waiter = _Waiter(lora=lora, since=self._clock())
        self._waiting[waiter] = None
        self._advance()
        try:
            await waiter.admitted.wait()
            yield
        finally:
            self._leave(waiter)

    def _advance(self) -> None:
        """Let in whoever may go in now."""
        passed: list[_Waiter] = []
        for waiter in list(self._waiting):
            if self._running >= self._limits.places:
                return
            if self._fits(waiter):
                self._let_in(waiter)
                for other in passed:
                    other.overtaken += 1
            else:
                passed.append(waiter)
            if any(map(self._is_due, passed)):
                return

    def _fits(self, waiter: _Waiter) -> bool:
        return waiter.lora is None or waiter.lora in self._loras or len(self._loras) < self._limits.max_loras

    def _is_due(self, waiter: _Waiter) -> bool:
        age_s = self._clock() - waiter.since
        return age_s >= self._limits.max_age_s or waiter.overtaken >= self._limits.max_overtakes

    def _let_in(self, waiter: _Waiter) -> None:
        del self._waiting[waiter]
        self._running += 1
        if waiter.lora is not None:
            self._loras[waiter.lora] += 1
        waiter.admitted.set()

    def _leave(self, waiter: _Waiter) -> None:
        if waiter in self._waiting:
            del self._waiting[waiter]
        else:
            self._running -= 1
            if waiter.lora is not None:
                self._loras[waiter.lora] -= 1
                self._loras += Counter()  # forgets those at zero
        self._advance()
