"""What 64 LoRAs cost: drafts drawn by Zipf's law among 64 radiologists, against the base alone, on the same engine.

RadBridge's engine lets prompts in by its own rules (`admission`), so its ratio stands beside that of vLLM asked bare.
Rounds alternate, and no two prompts are alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median

from radbridge.registry import LoraVersion
from radbridge_model_server.engines.engine import Prompt
from tests.bench.serving_load import NEW_TOKENS, draw_zipf, drive, make_prompts
from tests.bench.serving_loras import radiologists
from tests.bench.serving_report import Report, Verdict, run
from tests.bench.serving_vllm import Pair, as_lora, start_pair

LORAS = 64
CONCURRENCY = 32
PLACES = 8
"""LoRAs in one batch of vLLM's."""

Ask = Callable[[str, LoraVersion | None], Awaitable[int]]


async def ask_ours(pair: Pair, text: str, lora: LoraVersion | None) -> int:
    return (await pair.ours.generate(Prompt(text=text, lora=lora, max_new_tokens=NEW_TOKENS))).tokens


async def ask_bare(pair: Pair, text: str, lora: LoraVersion | None) -> int:
    return len((await pair.bare.write(text, as_lora(lora) if lora else None, NEW_TOKENS)).tokens)


async def measure(quick: bool) -> Report:
    """Base and mix, ours and bare, in turn."""
    drafts, rounds = (64, 1) if quick else (256, 3)
    seeds = itertools.count(1000)
    speeds: dict[tuple[str, str], list[float]] = {}
    with radiologists(LORAS) as readers:
        async with start_pair(readers.base, max_loras=PLACES) as pair:
            asks: dict[str, Ask] = {"RadBridge": partial(ask_ours, pair), "vLLM bare": partial(ask_bare, pair)}
            for turn in range(rounds + 1):
                chosen = [readers.versions[n] for n in draw_zipf(drafts, LORAS, seed=turn)]
                mixes: dict[str, list[LoraVersion | None]] = {"base": [None] * drafts, "zipf": [*chosen]}
                for who, ask in asks.items():
                    for mix, loras in mixes.items():
                        prompts = make_prompts(drafts, seed=next(seeds))
                        work = [partial(ask, text, lora) for text, lora in zip(prompts, loras, strict=True)]
                        load = await drive(work, CONCURRENCY, f"{who}, {mix}, round {turn}")
                        if turn:  # the first loads the LoRAs
                            speeds.setdefault((who, mix), []).append(load.tokens_per_s)
    ratio = {who: median(speeds[who, "zipf"]) / median(speeds[who, "base"]) for who in asks}
    rows: list[dict[str, object]] = [
        {
            "who": who,
            "tokens/s, base": median(speeds[who, "base"]),
            "tokens/s, 64 LoRAs by Zipf": median(speeds[who, "zipf"]),
            "ratio": ratio[who],
        }
        for who in asks
    ]
    return Report(
        title=f"{LORAS} LoRAs on vLLM, {CONCURRENCY} drafts at once, {PLACES} LoRAs in a batch",
        rows=rows,
        verdicts=(Verdict(what="our ratio over vLLM's own", value=ratio["RadBridge"] / ratio["vLLM bare"], aim=0.8),),
    )


if __name__ == "__main__":
    run("zipf", measure, __doc__ or "")
