"""Tokens a second by the number of LoRAs, and how long one draft takes when so many are asked for at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from statistics import quantiles
from time import perf_counter

from tests.gpu.memory import Peak
from tests.gpu.shape import Shape
from tests.gpu.tell import tell
from tests.gpu.writer import Writer
from tests.support.walking_model import SPECIAL_TOKENS


def make_prompts(shape: Shape, count: int, seed: int = 0) -> list[list[int]]:
    """Random prompts of the shape's length, no two with the same beginning: no cache helps."""
    dice = random.Random(seed)
    words = range(SPECIAL_TOKENS, shape.config.vocab_size)
    return [dice.choices(words, k=shape.prompt_tokens) for _ in range(count)]


async def measure_speed(writer: Writer, shape: Shape, drafts: int, label: dict[str, object]) -> list[dict[str, object]]:
    """One row for the base and for each number of LoRAs, at the highest concurrency."""
    rows = []
    most = max(shape.concurrencies)
    for count in (0, *shape.loras):
        tell(f"tokens/s with {count or 'no'} LoRAs")
        await _drive(writer, shape, most, most, count)  # loads the LoRAs, and warms
        with Peak() as peak:
            latencies, seconds = await _drive(writer, shape, drafts, most, count)
        rows.append(
            {
                **label,
                "LoRAs": count,
                "new tokens/s": round(len(latencies) * shape.new_tokens / seconds, 1),
                "drafts/s": round(len(latencies) / seconds, 2),
                "peak GiB": round(peak.gib, 1),
            }
        )
    return rows


async def measure_latency(
    writer: Writer, shape: Shape, drafts: int, label: dict[str, object]
) -> list[dict[str, object]]:
    """One row for each concurrency, all LoRAs in use."""
    rows = []
    for concurrency in shape.concurrencies:
        tell(f"latency at concurrency {concurrency}")
        count = max(16, min(drafts, 16 * concurrency))
        latencies, _ = await _drive(writer, shape, count, concurrency, max(shape.loras))
        cuts = quantiles(latencies, n=100, method="inclusive")
        rows.append(
            {
                **label,
                "concurrency": concurrency,
                "drafts": count,
                "p50 ms": round(1000 * cuts[49], 1),
                "p99 ms": round(1000 * cuts[98], 1),
            }
        )
    return rows


async def _drive(writer: Writer, shape: Shape, drafts: int, concurrency: int, loras: int) -> tuple[list[float], float]:
    """Seconds of each draft, and of all."""
    work = iter(list(enumerate(make_prompts(shape, drafts, seed=drafts + loras))))
    latencies: list[float] = []

    async def lane(mine: Iterator[tuple[int, list[int]]]) -> None:
        for number, ids in mine:
            began = perf_counter()
            made = await writer.write(ids, number % loras if loras else None, shape.new_tokens)
            latencies.append(perf_counter() - began)
            if len(made) != shape.new_tokens:
                raise RuntimeError(f"a draft of {len(made)} tokens; {shape.new_tokens} were asked for")

    began = perf_counter()
    await asyncio.gather(*(lane(work) for _ in range(concurrency)))
    return latencies, perf_counter() - began
