"""Drafts a second against the number of LoRAs that are drafted with, on both engines; drawn for docs/performance.md.

Sixteen drafts are under way at any time, the radiologists take turns, and the batch holds all their LoRAs. The quick
variant measures, and draws beside the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from radbridge.registry import LoraVersion
from radbridge_model_server.engines.engine import Engine, Prompt
from tests.bench.serving_engines import ENGINES, started
from tests.bench.serving_load import NEW_TOKENS, drive, make_prompts
from tests.bench.serving_loras import radiologists
from tests.bench.serving_report import JSON_FOLDER, Report, run

COUNTS = (0, 1, 2, 4, 8, 16, 32, 64)
QUICK_COUNTS = (0, 1, 4, 16)
CONCURRENCY = 16
PICTURE = "drafts-per-second.svg"
DOCS = Path("docs/pictures")

Series = Mapping[str, Sequence[float]]


async def measure(quick: bool) -> Report:
    """Every number of LoRAs on every engine, several rounds; the median counts."""
    drafts, rounds, counts = (16, 1, QUICK_COUNTS) if quick else (48, 3, COUNTS)
    series: dict[str, list[float]] = {}
    with radiologists(max(counts)) as readers:
        for name in ENGINES:
            async with started(name, readers.base, max_batch=CONCURRENCY, max_loras=max(counts)) as engine:
                speeds: dict[int, list[float]] = {count: [] for count in counts}
                for turn in range(rounds + 1):
                    for count in counts:
                        rate = await draft(engine, readers.versions[:count], drafts if turn else max(16, count), turn)
                        speeds[count] += [rate] if turn else []  # the first turn loads the LoRAs
                series[name] = [median(speeds[count]) for count in counts]
    draw(counts, series, (JSON_FOLDER if quick else DOCS) / PICTURE)
    rows: list[dict[str, object]] = [
        {"LoRAs": count, **{f"{name}, drafts/s": rates[place] for name, rates in series.items()}}
        for place, count in enumerate(counts)
    ]
    return Report(title=f"Drafts of {NEW_TOKENS} tokens, {CONCURRENCY} at once", rows=rows)


async def draft(engine: Engine, versions: Sequence[LoraVersion], drafts: int, turn: int) -> float:
    """Drafts a second."""

    async def ask(text: str, lora: LoraVersion | None) -> int:
        return (await engine.generate(Prompt(text=text, lora=lora, max_new_tokens=NEW_TOKENS))).tokens

    prompts = make_prompts(drafts, seed=1000 * turn + len(versions))
    chosen = [versions[n % len(versions)] if versions else None for n in range(drafts)]
    asks = [partial(ask, text, lora) for text, lora in zip(prompts, chosen, strict=True)]
    return (await drive(asks, CONCURRENCY, f"{len(versions)} LoRAs")).drafts_per_s


def draw(counts: Sequence[int], series: Series, place: Path) -> None:
    """One line for each engine, the x axis by powers of two."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "radbridge"  # the same figures make the same file
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for (name, rates), marker in zip(series.items(), "os", strict=True):
        axes.plot(range(len(counts)), rates, marker=marker, label=name)
    axes.set_xticks(range(len(counts)), map(str, counts))
    axes.set_xlabel("distinct LoRAs in use (0: the base model)")
    axes.set_ylabel("drafts per second")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    place.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(place, metadata={"Date": None})


if __name__ == "__main__":
    run("picture", measure, __doc__ or "")
