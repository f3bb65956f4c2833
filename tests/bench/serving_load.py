"""Prompts of one length, and a closed loop that keeps so many of them under way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from time import perf_counter

from rich.console import Console
from rich.progress import Progress

from radbridge.prompt import PromptInput, build_prompt

NEW_TOKENS = 48
_SENTENCES = (
    "There is a {n} mm nodule in the right upper lobe.",
    "There is a {n} mm nodule in the left lower lobe.",
    "The compression fracture of L{level} has lost {n} percent of its height.",
    "The gallbladder contains {level} stones of up to {n} mm.",
    "There is a {n} mm stone in the left kidney.",
    "The ascending aorta measures {n} mm.",
    "There is a small pleural effusion on the left, {n} mm deep.",
    "There is a cyst of {n} mm in the right kidney.",
)


def make_findings(count: int, seed: int = 0) -> list[str]:
    """Findings of four sentences, no two alike."""
    dice = random.Random(seed)
    return [
        " ".join(s.format(n=dice.randint(11, 59), level=dice.randint(1, 5)) for s in dice.sample(_SENTENCES, 4))
        for _ in range(count)
    ]


def make_prompts(count: int, seed: int = 0) -> list[str]:
    """Prompts of about 130 tokens of the packaged base."""
    return [
        build_prompt(PromptInput(findings=findings, coarse=findings, modality="CT", sex="F", age=50 + n % 40))
        for n, findings in enumerate(make_findings(count, seed))
    ]


def draw_zipf(count: int, distinct: int, seed: int = 0) -> list[int]:
    """Indices below `distinct`, the k-th in proportion to 1/k: a few radiologists read most of a shift's list."""
    weights = [1 / (rank + 1) for rank in range(distinct)]
    return random.Random(seed).choices(range(distinct), weights, k=count)


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What came of one closed loop."""

    seconds: float
    tokens: int
    latencies_s: tuple[float, ...]

    @property
    def drafts_per_s(self) -> float:
        """Answers a second."""
        return len(self.latencies_s) / self.seconds

    @property
    def tokens_per_s(self) -> float:
        """New tokens a second."""
        return self.tokens / self.seconds

    def percentile_ms(self, percent: int) -> float:
        """A percentile of the latencies."""
        if len(self.latencies_s) == 1:
            return self.latencies_s[0] * 1000
        return quantiles(self.latencies_s, n=100, method="inclusive")[percent - 1] * 1000


async def drive(asks: Sequence[Callable[[], Awaitable[int]]], concurrency: int, what: str = "") -> Load:
    """Ask everything, at most `concurrency` at a time; each answers with the tokens it generated."""
    waiting = iter(asks)
    latencies: list[float] = []
    tokens = 0

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(what or "drafts", total=len(asks))

        async def lane() -> None:
            nonlocal tokens
            for ask in waiting:
                began = perf_counter()
                made = await ask()
                tokens += made
                latencies.append(perf_counter() - began)
                progress.advance(bar)

        began = perf_counter()
        await asyncio.gather(*(lane() for _ in range(concurrency)))
        seconds = perf_counter() - began
    return Load(seconds=seconds, tokens=tokens, latencies_s=tuple(latencies))
