"""Resident memory while LoRA versions come and go: two thousand are loaded, draft a few tokens, and are retired.

What counts is the resident memory of the engine's processes after the last cycle over that after a warm-up: what a
process takes once doesn't leak. Every version has a name and a number of its own; their weights are those of a few.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from radbridge.registry import LoraVersion
from radbridge_model_server.engines.engine import Engine, Prompt
from tests.bench.serving_engines import ENGINES, started
from tests.bench.serving_load import make_prompts
from tests.bench.serving_loras import radiologists
from tests.bench.serving_report import Report, Verdict, run

DISTINCT = 8
WARM_UP = 50
LIMIT = 1.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """MiB of an engine's processes."""

    resident: float
    own: float
    """Of it, what isn't a file's: where a leak would be."""


async def measure(quick: bool) -> Report:
    """One row for each engine."""
    cycles = 80 if quick else 2000
    rows: list[dict[str, object]] = []
    verdicts = []
    with radiologists(DISTINCT) as readers:
        for name in ENGINES:
            async with started(name, readers.base, max_loras=4) as engine:
                sizes = await come_and_go(engine, readers.versions, cycles)
            warm, last = sizes[WARM_UP], sizes[-1]
            growth = last.resident / warm.resident
            rows.append(
                {
                    "engine": name,
                    "cycles": cycles,
                    f"MiB after {WARM_UP}": round(warm.resident),
                    "halfway": round(sizes[len(sizes) // 2].resident),
                    "at the end": round(last.resident),
                    "ratio": growth,
                    "own KiB a cycle": round(1024 * (last.own - warm.own) / (cycles - WARM_UP), 1),
                }
            )
            verdicts.append(Verdict(what=f"{name}: memory after {cycles}", value=growth, aim=LIMIT, at_most=True))
    return Report(title="Load, draft, retire", rows=rows, verdicts=tuple(verdicts))


async def come_and_go(engine: Engine, versions: tuple[LoraVersion, ...], cycles: int) -> list[Size]:
    """What is resident after each cycle."""
    prompts = make_prompts(DISTINCT)
    sizes = []
    for cycle in track(range(cycles), description=engine.model, console=Console(stderr=True), transient=True):
        known = versions[cycle % DISTINCT]
        version = replace(known, seq=1000 + cycle, number=1000 + cycle)
        await engine.ensure_lora(version)
        await engine.generate(Prompt(text=prompts[cycle % DISTINCT], lora=version, max_new_tokens=2))
        await engine.retire_lora(version)
        if engine.stats().loras:
            raise RuntimeError("a retired version is still in memory")
        sizes.append(_measure_family())
    return sizes


def _measure_family() -> Size:
    """This process and all below it."""
    gc.collect()
    told = [_read_sizes(pid) for pid in _family()]
    return Size(resident=sum(t["Rss"] for t in told) / 1024, own=sum(t["Anonymous"] for t in told) / 1024)


def _family() -> Iterator[int]:
    waiting = [os.getpid()]
    while waiting:
        pid = waiting.pop()
        yield pid
        for task in Path(f"/proc/{pid}/task").iterdir():
            waiting += map(int, (task / "children").read_text().split())


def _read_sizes(pid: int) -> dict[str, int]:
    """KiB by name."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}


if __name__ == "__main__":
    run("memory", measure, __doc__ or "")
