"""The first draft of a radiologist whose LoRA isn't in memory, with and without a prefetch on the order.

Each LoRA drafts once cold, or once after `ensure_lora` is done, which the gateway asks for when the order or the opened
report is seen, minutes ahead. `warm` is the second draft of the same radiologist: there is nothing better.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from time import perf_counter

from radbridge.registry import LoraVersion
from radbridge_model_server.engines.engine import Engine, Prompt
from tests.bench.serving_engines import ENGINES, started
from tests.bench.serving_load import make_prompts
from tests.bench.serving_loras import radiologists
from tests.bench.serving_report import Report, Verdict, run

NEW_TOKENS = 16


async def measure(quick: bool) -> Report:
    """Every engine, half of the LoRAs each way, alternately."""
    count = 8 if quick else 48
    rows: list[dict[str, object]] = []
    verdicts = []
    with radiologists(count) as readers:
        for name in ENGINES:
            async with started(name, readers.base, max_loras=8) as engine:
                await _draft(engine, "warms the engine", None)
                took = await measure_engine(engine, readers.versions)
            cold, ahead, warm = (median(took[way]) for way in ("cold", "prefetched", "warm"))
            rows.append(
                {
                    "engine": name,
                    "cold, ms": cold,
                    "prefetched, ms": ahead,
                    "warm, ms": warm,
                    "loading, ms": median(took["loading"]),
                }
            )
            verdicts.append(Verdict(what=f"{name}: cold over prefetched", value=cold / ahead, aim=1.0))
    return Report(
        title=f"First draft of {NEW_TOKENS} tokens, median of {count // 2}", rows=rows, verdicts=tuple(verdicts)
    )


async def measure_engine(engine: Engine, versions: Sequence[LoraVersion]) -> dict[str, list[float]]:
    """Milliseconds, by way."""
    took: dict[str, list[float]] = {"cold": [], "prefetched": [], "warm": [], "loading": []}
    texts = make_prompts(2 * len(versions))
    for number, version in enumerate(versions):
        is_ahead = number % 2 == 1
        if is_ahead:
            began = perf_counter()
            await engine.ensure_lora(version)
            took["loading"].append(1000 * (perf_counter() - began))
        took["prefetched" if is_ahead else "cold"].append(await _draft(engine, texts[2 * number], version))
        took["warm"].append(await _draft(engine, texts[2 * number + 1], version))
    return took


async def _draft(engine: Engine, text: str, version: LoraVersion | None) -> float:
    began = perf_counter()
    await engine.generate(Prompt(text=text, lora=version, max_new_tokens=NEW_TOKENS))
    return 1000 * (perf_counter() - began)


if __name__ == "__main__":
    run("prefetch", measure, __doc__ or "")
