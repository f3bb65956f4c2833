"""How fast drafts come to be like a radiologist's own: 12 simulated ones that nothing was trained on.

    .venv/bin/python -m tests.bench.style_memory [--model FOLDER] [--asked 8]

Each has signed 0, 1, 5 or 20 reports. What a style memory gives is taken apart: the counted habits alone, the signed
sentences alone, both. All goes the way of a site's drafts: the model
server's service and its HTTP interface, `radbridge draft --memory`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from random import Random
from statistics import mean

import structlog
from rouge_score.rouge_scorer import RougeScorer

from radbridge.edit import measure_distance
from radbridge.example import StyleExample
from radbridge.rewrites import plan
from radbridge.style import Hand, read_hand
from radbridge.style.profile import StyleProfile
from radbridge_model_server.service import start_service
from radbridge_model_server.settings import Settings
from radbridge_training.adaptation import Radiologist, simulate
from tests.bench.quality_drafts import choose_model, read_rows, write_rows
from tests.support.serving import listening

SEED = 60_613
PEOPLE, SIGNED = 12, 20
STEPS = (1, 5, SIGNED)
WAYS = ("profile", "examples", "both")
DRAWS = 2_000
_PATIENCE_S = 60.0


def read_half(way: str, examples: Sequence[StyleExample]) -> Hand | None:
    """The hand, or the half of it that is named."""
    hand = read_hand(examples)
    if hand and way == "profile":
        return replace(hand, sentences=())
    return replace(hand, profile=StyleProfile()) if hand and way == "examples" else hand


def run_draft(references: Path, out: Path, url: str, memory: Path | None) -> Path:
    """`radbridge draft` in a process of its own."""
    command = [sys.executable, "-m", "radbridge", "draft", "--in", str(references), "--out", str(out), "--model", url]
    command += ["--memory", str(memory)] if memory else []
    if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode:
        raise SystemExit(f"some reports have no draft: see {out}")
    return out


async def draft_all(settings: Settings, people: Sequence[Radiologist], folder: Path) -> tuple[Path, dict[str, Path]]:
    """The references, and the drafts by way and number of signed reports."""
    references = write_rows(folder / "asked.jsonl", (row for who in people for row in who.asked))
    found: dict[str, Path] = {}
    async with listening(await start_service(settings)) as url:
        for way, n in (("both", 0), *product(WAYS, STEPS)):
            vars(plan)["read_hand"] = partial(read_half, way)
            rows = (row for who in people for row in who.signed[SIGNED - n :])
            memory = write_rows(folder / f"signed-{n}.jsonl", rows) if n else None
            name = f"{way} {n}"
            found[name] = await asyncio.to_thread(run_draft, references, folder / f"{name}.jsonl", url, memory)
    return references, found


def measure(references: Path, drafts: Path) -> dict[str, float]:
    """The mean edit distance of each radiologist's drafts to what they signed."""
    texts = {row["id"]: row.get("draft", "") for row in read_rows(drafts)}
    distances = defaultdict(list)
    for row in read_rows(references):
        distances[row["radiologist"]].append(measure_distance(texts[row["id"]], row["impression"]))
    return {who: mean(found) for who, found in distances.items()}


def measure_fall(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[float, float, float]:
    """By how much of itself the distance falls, and the 95 % interval over radiologists."""
    rng, people = Random(SEED), list(before)

    def fall(drawn: Sequence[str]) -> float:
        return 1 - sum(after[who] for who in drawn) / sum(before[who] for who in drawn)

    falls = sorted(fall(rng.choices(people, k=len(people))) for _ in range(DRAWS))
    return fall(people), falls[DRAWS // 40], falls[-DRAWS // 40]


def count_refused(drafts: Path) -> float:
    """How many statements of a draft stand as they were since their rewrite was refused."""
    rows = read_rows(drafts)
    kept = [why for row in rows for why in row.get("fallback", ()) if "left as they were" in why]
    return sum(int(why.split()[0]) for why in kept) / len(rows)


def measure_rouge(references: Path, drafts: Path) -> float:
    """The mean ROUGE-L of drafts to what was signed."""
    texts = {row["id"]: row.get("draft", "") for row in read_rows(drafts)}
    score = RougeScorer(["rougeL"], use_stemmer=True).score
    return float(mean(score(r["impression"], texts[r["id"]])["rougeL"].fmeasure for r in read_rows(references)))


def main() -> None:
    """Simulate, draft, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a folder with base/ and perhaps loras/; the packaged model without")
    parser.add_argument("--asked", type=int, default=8, help="reports to draft for each radiologist")
    options = parser.parse_args()
    settings = Settings.model_validate(choose_model(options.model) | {"deadline_s": _PATIENCE_S, "threads": 1})
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    people = list(simulate(SEED, PEOPLE, signed=SIGNED, asked=options.asked))
    with tempfile.TemporaryDirectory() as folder:
        references, drafts = asyncio.run(draft_all(settings, people, Path(folder)))
        distances = {name: measure(references, file) for name, file in drafts.items()}
        print("| shown | signed reports | edit distance | fall | 95 % | better for | ROUGE-L | refused a draft |")
        print("|---|---|---|---|---|---|---|---|")
        before = distances["both 0"]
        for name, after in distances.items():
            value, low, high = measure_fall(before, after)
            better = sum(after[who] < before[who] for who in before)
            told_fall = f"{100 * value:.0f} % | {100 * low:.0f} to {100 * high:.0f} % | {better} of {len(before)}"
            rouge = 100 * measure_rouge(references, drafts[name])
            way, _, count = name.partition(" ")
            row = f"{way} | {count} | {mean(after.values()):.3f} | {told_fall} | {rouge:.1f}"
            print(f"| {row} | {count_refused(drafts[name]):.2f} |")


if __name__ == "__main__":
    main()
