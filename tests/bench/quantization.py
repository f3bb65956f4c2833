"""What 8 and 4 bits cost in drafts and save in memory, on the packaged model with its three LoRAs, on a CPU.

    .venv/bin/python -m tests.bench.quantization

The reports are generated, the same ones every time. Each form of the weights runs in a process of its own, and is
compared with the drafts of the whole weights.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import structlog
import torch
from rich.console import Console
from rich.table import Table
from rouge_score.rouge_scorer import RougeScorer

from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import Severity, Stage
from radbridge_model_server.models.base_model import load_base
from radbridge_model_server.service import start_service
from radbridge_model_server.settings import Quantization, Settings
from radbridge_training.synth import SynthReport, generate_reports

STYLES = ("succinct", "elaborate", "numbered")
FORMS: tuple[Quantization, ...] = ("none", "int8", "nf4")
COLUMNS = (
    "weights MB",
    "of it matrices",
    "RSS MB",
    "drafts per CPU s",
    "identical",
    "ROUGE-L",
    "fine",
    "kept back",
    "critical",
)
_SEED = 4711
_KEPT = re.compile(r"(\d+) of \d+ statements left as they were")


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What one form of the weights did."""

    weights: int
    """Bytes of the base, without LoRAs."""
    matrices: int
    """Bytes of its layers: what is quantized."""
    rss: int
    """Bytes that the process holds after the drafts, beyond what it held before it loaded the model."""
    drafts_per_cpu_s: float
    drafts: tuple[DraftResponse, ...]


def measure(form: Quantization, reports: int) -> Run:
    """Draft every report in every style. Call it in a fresh process: memory is measured."""
    torch.set_num_threads(1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    before = read_rss()
    drafts, drafting_s = asyncio.run(draft_all(form, list(generate_reports(_SEED, reports))))
    rss = read_rss() - before
    weights, matrices = weigh(form)
    return Run(
        weights=weights,
        matrices=matrices,
        rss=rss,
        drafts_per_cpu_s=len(drafts) / drafting_s,
        drafts=tuple(drafts),
    )


def weigh(form: Quantization) -> tuple[int, int]:
    """Bytes of the packaged base in one form: of all, and of its layers, scales included."""
    model = load_base(Settings().base, device="cpu", quantization=form).model
    layers = sum(_weigh_layer(m) for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear))
    tensors = (*model.parameters(), *model.buffers())
    inside = sum(m.weight.nbytes for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear))
    return sum(t.nbytes for t in tensors) - inside + layers, layers


def _weigh_layer(layer: torch.nn.Linear) -> int:
    """The weight, and the scales that bitsandbytes keeps beside it."""
    kept: Any = layer.weight
    scales = [getattr(kept, "SCB", None), getattr(getattr(kept, "quant_state", None), "absmax", None)]
    size: int = kept.nbytes + sum(s.nbytes for s in scales if s is not None)
    return size


def read_rss() -> int:
    """Bytes of this process in memory."""
    fields = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in fields if line.startswith("VmRSS"))


async def draft_all(form: Quantization, reports: list[SynthReport]) -> tuple[list[DraftResponse], float]:
    """The drafts of every report in every style, and their seconds of processor time once the LoRAs were in memory."""
    personas = {style: f"persona/{style}" for style in STYLES}
    service = await start_service(Settings(quantization=form, personas=personas, deadline_s=600, max_queue=4096))
    room = asyncio.Semaphore(8)

    async def one(report: SynthReport, style: str) -> DraftResponse:
        async with room:
            return await service.drafter.draft(
                DraftRequest(
                    id="bench",
                    findings=report.findings,
                    indication=report.indication,
                    comparison=report.comparison,
                    modality=report.modality,
                    sex=report.sex,
                    age=report.age,
                    radiologist=style,
                )
            )

    await asyncio.gather(*(one(reports[0], style) for style in STYLES))
    began = time.process_time()  # the clock on the wall runs on while others have the processor
    drafts = await asyncio.gather(*(one(report, style) for style in STYLES for report in reports))
    took_s = time.process_time() - began
    await service.close()
    return list(drafts), took_s


def compare(run: Run, whole: Run) -> list[str]:
    """One line of the table."""
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    pairs = list(zip(run.drafts, whole.drafts, strict=True))
    rouge = [scorer.score(w.draft, d.draft)["rougeL"].fmeasure for d, w in pairs if d.draft and w.draft]
    kept = sum(int(m[1]) for d in run.drafts for why in d.fallback if (m := _KEPT.match(why)))
    objected = sum(any("refused" in why for why in d.fallback) for d in run.drafts)
    critical = mean(any(f.severity is Severity.CRITICAL for f in d.flags) for d in run.drafts)
    return [
        f"{run.weights / 1e6:.1f}",
        f"{run.matrices / 1e6:.1f}",
        f"{run.rss / 1e6:.0f}",
        f"{run.drafts_per_cpu_s:.1f}",
        f"{100 * mean(d.draft == w.draft for d, w in pairs):.1f} %",
        f"{100 * mean(rouge):.1f}",
        f"{100 * mean(d.stage is Stage.FINE for d in run.drafts):.1f} %",
        f"{kept} statements, {objected} drafts",
        f"{100 * critical:.1f} %",
    ]


def main() -> None:
    """Draft in every form, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=100, help="each is drafted in three styles")
    reports = parser.parse_args().reports
    table = Table("form", *COLUMNS, title=f"{reports} generated reports in {len(STYLES)} styles")
    runs: dict[Quantization, Run] = {}
    for form in FORMS:
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
            runs[form] = pool.submit(measure, form, reports).result()
        table.add_row("32 bits" if form == "none" else form, *compare(runs[form], runs["none"]))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
