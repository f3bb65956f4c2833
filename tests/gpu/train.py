"""What training costs: `python -m tests.gpu.train [--shape llama-8b|qwen-7b|tiny]`, on a GPU where there is one.

QLoRA (NF4 where bitsandbytes is there), then DPO, then GRPO, by the product's own trainers on a base of random weights
in a real model's shape. Nothing is fetched. One table on standard output, the same as JSON in `var/gpu/train-….json`:
seconds a step, tokens a second, memory. The exit status is 1 when a loss is no number or a LoRA didn't change.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median

import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from radbridge.errors import TrainingFault
from radbridge.learning import PreferenceExample, TrainingReport, Ways, make_examples
from radbridge.registry import WEIGHTS
from radbridge_training.optimize.figures import Figures
from radbridge_training.optimize.load import resolve
from radbridge_training.optimize.preference import train_preference
from radbridge_training.optimize.reinforce import train_grpo
from radbridge_training.optimize.rows import Encoded, encode_rows
from radbridge_training.optimize.supervised import train_sft
from radbridge_training.turn_recipe import Common, Learn, LoraShape, Prefer, Reinforce, Sft
from tests.gpu.memory import Peak
from tests.gpu.models import free_memory
from tests.gpu.shape import SHAPES, Shape
from tests.gpu.tell import show, tell
from tests.support.tiny_model import make_tokenizer
from tests.support.training_reports import make_reports
from tests.support.walking_model import CALM, make_model

Row = dict[str, object]
COMMON = Common(learn=Learn(most_rows=64))
TOKENIZER = Path(__file__).parents[2] / "model_server/radbridge_model_server/embedded/base"


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What is trained, sized for a shape."""

    sft: Sft
    prefer: Prefer
    reinforce: Reinforce
    reports: int
    lora: LoraShape


LARGE = Work(
    sft=Sft(steps=20, batch_size=4, max_tokens=1280, learning_rate=2e-4, max_minutes=20),
    prefer=Prefer(steps=10, batch_size=4, max_tokens=1280, learning_rate=5e-6, pairs="recorded", max_minutes=20),
    reinforce=Reinforce(steps=4, batch_size=8, max_new_tokens=128, learning_rate=1e-5, max_minutes=20),
    reports=48,
    lora=LoraShape(),
)
TINY = Work(
    sft=Sft(steps=2, batch_size=2, max_tokens=500),
    prefer=Prefer(steps=2, batch_size=4, max_tokens=500, pairs="recorded"),
    reinforce=Reinforce(steps=2, batch_size=4, generations=2, max_new_tokens=8, learning_rate=1e-3),
    reports=24,
    lora=LoraShape(rank=4, alpha=8),
)


@dataclass(kw_only=True)
class Clock:
    """Hears how far a trainer is, and takes the time of its steps."""

    marks: list[float] = field(default_factory=list)

    def hear(self, phase: str, done: int, total: int) -> None:
        """`Tell`: of the phases that write answers only the end is of interest."""
        if phase not in {"reading", "drafting"}:
            self.marks.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Of a step; the first, which warms up, isn't counted."""
        return median(after - before for before, after in pairwise(self.marks))


def run(folder: Path, work: Work, shape: Shape) -> tuple[list[Row], list[str]]:
    """The three objectives, each on top of the one before: the table, and what went wrong."""
    base = folder / "base"
    reports, examples, encoded = make_rows(base, work, shape)
    sft = partial(train_sft, examples, base=base, parent=None, recipe=work.sft, lora=work.lora, common=COMMON)
    dpo = partial(train_preference, examples, base=base, start=folder / "SFT", recipe=work.prefer, common=COMMON)
    grpo = partial(train_grpo, examples, base=base, start=folder / "DPO", recipe=work.reinforce, common=COMMON)
    prompt, answer = fmean(len(r.prompt) for r in encoded), fmean(len(r.answer) for r in encoded)
    worse = fmean(len(r.worse) for r in encoded)
    steps: tuple[tuple[str, Callable[..., Figures], int, float], ...] = (
        ("SFT", sft, work.sft.batch_size, prompt + answer),
        ("DPO", dpo, work.prefer.batch_size, 2 * prompt + answer + worse),
        ("GRPO", partial(grpo, reports=reports), work.reinforce.batch_size, prompt + work.reinforce.max_new_tokens),
    )
    rows: list[Row] = []
    for name, train, batch, tokens in steps:
        tell(name)
        try:
            rows.append({"objective": name} | measure(train, folder / name, batch, tokens))
        except TrainingFault as fault:
            return rows, [f"{name}: {fault}"]
    is_same = read_weights(folder / "SFT") == read_weights(folder / "DPO")
    return rows, ["DPO changed nothing"] if is_same else []


def measure(train: Callable[..., Figures], into: Path, batch: int, tokens: float) -> Row:
    """One objective: a row of the table. Raises TrainingFault."""
    clock = Clock()
    with Peak() as peak:
        figures = train(into=into, tell=clock.hear)
    free_memory()
    return {
        "steps": int(figures["steps"]),
        "rows a step": batch,
        "tokens a row": round(tokens),
        "s/step": round(clock.seconds, 3),
        "tokens/s": round(batch * tokens / clock.seconds),
        "peak GiB": round(peak.gib, 1),
        "loss": round(figures["loss"], 4),
        "s in all": figures["seconds"],
    }


def make_rows(
    base: Path, work: Work, shape: Shape
) -> tuple[list[TrainingReport], list[PreferenceExample], list[Encoded]]:
    """Generated reports, and what the strategy `single` would ask for each beside signed ones: all in one prompt."""
    reports = list(make_reports(11, work.reports))
    tokenizer = AutoTokenizer.from_pretrained(base)
    is_tiny = shape is SHAPES["tiny"]  # a context of 512 bytes holds single statements only, without examples
    ways = Ways() if is_tiny else Ways(strategy="single")
    examples = list(make_examples(reports, ways, alike=8, newest=4, unseen_share=float(is_tiny)))
    encoded = encode_rows(examples, tokenizer, max_tokens=work.sft.max_tokens)
    return reports, [row.example for row in encoded], encoded


def write_base(folder: Path, shape: Shape, device: str) -> None:
    """The base and a tokenizer: the packaged one, or for a small vocabulary one token for each byte."""
    tokenizer = make_tokenizer() if shape is SHAPES["tiny"] else AutoTokenizer.from_pretrained(TOKENIZER)
    tokenizer.save_pretrained(folder)
    model = make_model(shape.config, CALM, device=device, dtype=torch.bfloat16 if device == "cuda" else torch.float32)
    model.save_pretrained(folder)
    del model
    free_memory()


def read_weights(folder: Path) -> dict[str, list[float]]:
    """What can be compared of a LoRA: the sum of each tensor."""
    return {name: [float(tensor.double().sum())] for name, tensor in load_file(folder / WEIGHTS).items()}


def main() -> int:
    """Make the base, train, print, write the JSON."""
    args = _read_arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU {platform.machine()}"
    shape, work = SHAPES[args.shape], TINY if args.shape == "tiny" else LARGE
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        tell(f"making a {args.shape} of random weights for {name}")
        write_base(Path(folder) / "base", shape, device)
        rows, faults = run(Path(folder), work, shape)
    title = f"{name}, {args.shape}, {resolve(COMMON.load)}, rank {work.lora.rank}"
    show(title, rows)
    args.out.mkdir(parents=True, exist_ok=True)
    place = args.out / f"train-{re.sub(r'[^a-z0-9]+', '-', name.lower())}.json"
    told = {"device": name, "shape": args.shape, "load": resolve(COMMON.load), "training": rows, "faults": faults}
    place.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    tell(f"written to {place}")
    sys.stdout.write("".join(f"\n{fault}\n" for fault in faults))
    return 1 if faults else 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="llama-8b")
    parser.add_argument("--folder", type=Path, help="for the weights, 16 GB at 8 B; default: the temporary folder's")
    parser.add_argument("--out", type=Path, default=Path("var/gpu"))
    args = parser.parse_args()
    if not torch.cuda.is_available() and args.shape != "tiny":
        parser.error("no GPU here: --shape tiny shows that the script runs, and measures nothing")
    return args


if __name__ == "__main__":
    sys.exit(main())
