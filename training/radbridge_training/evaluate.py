"""Measures a base and its LoRAs: `python -m radbridge_training.evaluate --model FOLDER [--data reports.jsonl]`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from radbridge.coarse import draft_coarse
from radbridge.prompt import PromptInput
from radbridge_training.drafts import Writer
from radbridge_training.measures import Case, Measures, measure
from radbridge_training.synth import PERSONAS, generate_reports

HELD_OUT_SEED = 990_001
"""No recipe draws from this seed on."""
_COLUMNS = ("c-R1", "c-RL", "R1", "RL", "unsup", "refus", "style", "exact", "rare")
_CAPTION = "c-: of the coarse text. R1, RL: as delivered. The others: of the fine texts. See `Measures`."


def read_cases(path: Path, limit: int) -> Iterator[tuple[PromptInput, str]]:
    """Findings and what was signed for them, from JSON lines with `findings`, `impression` and perhaps `indication`."""
    with path.open(encoding="utf-8") as lines:
        for _, line in zip(range(limit), lines, strict=False):
            row = json.loads(line)
            if row["findings"].strip() and row["impression"].strip():
                yield (
                    _with_coarse(row["findings"], row.get("indication", ""), row.get("comparison", "")),
                    row["impression"],
                )


def generate_cases(count: int, persona: str) -> Iterator[tuple[PromptInput, str]]:
    """Held-out generated findings, and the impression in the style of `persona`."""
    for report in generate_reports(HELD_OUT_SEED, count):
        yield _with_coarse(report.findings, report.indication, report.comparison), report.impressions[persona]


def evaluate(
    model: Path, personas: Sequence[str], data: Path | None, limit: int, console: Console
) -> dict[str, Measures]:
    """The measures of each persona's rewrites, greedy, of whole coarse texts: harder than one statement at a time."""
    found: dict[str, Measures] = {}
    writer = Writer(model)
    for persona in personas:
        told = list(
            read_cases(data, limit) if data else generate_cases(limit, persona if persona in PERSONAS else "numbered")
        )
        told = [(seen, signed) for seen, signed in told if seen.coarse]
        texts = list(track(writer.write([seen for seen, _ in told], persona), persona, len(told), console=console))
        cases = [Case(seen=seen, signed=signed, draft=text) for (seen, signed), text in zip(told, texts, strict=True)]
        found[persona] = measure(cases, persona)
    return found


def _with_coarse(findings: str, indication: str, comparison: str) -> PromptInput:
    coarse = draft_coarse(findings, indication=indication, comparison=comparison)
    return PromptInput(findings=findings, indication=indication, comparison=comparison, coarse=coarse.text)


def _tabulate(found: dict[str, Measures], title: str) -> Table:
    table = Table("persona", "drafts", *_COLUMNS, title=title, caption=_CAPTION)
    for persona, m in found.items():
        shares: list[Any] = [
            m.coarse_rouge1,
            m.coarse_rouge_l,
            m.rouge1,
            m.rouge_l,
            m.unsupported,
            m.refused,
            m.style,
            m.exact,
            m.rare_copied,
        ]
        table.add_row(persona, str(m.drafts), *(f"{100 * s:.1f}" for s in shares))
    return table


def main(  # noqa: PLR0917 - Typer's options
    model: Annotated[Path, typer.Option(help="The folder with base/ and loras/.")],
    data: Annotated[
        Path | None, typer.Option(help="JSON lines with findings and impression; generated reports otherwise.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many reports.")] = 200,
    persona: Annotated[list[str] | None, typer.Option(help="Only these; `base` is the model without a LoRA.")] = None,
    threads: Annotated[int, typer.Option(help="Of the CPU.")] = 2,
    show: Annotated[int, typer.Option(help="Print so many drafts that would be refused. They quote the data.")] = 0,
) -> None:
    """Measure drafts against what was signed. All figures are per cent."""
    console = Console()
    torch.set_num_threads(threads)
    if not (model / "base").is_dir():
        console.print(f"{model}: no base/ in it; train one with training/recipes/base.yaml", style="red", markup=False)
        sys.exit(2)
    found = evaluate(model, persona or PERSONAS, data, limit, console)
    console.print(_tabulate(found, str(data or "generated, held out")))
    for name, measures in found.items():
        for case, why in measures.refusals[:show]:
            console.print(f"\n{name}: {why}\n  coarse: {case.seen.coarse}\n  draft: {case.draft}", markup=False)


if __name__ == "__main__":
    typer.run(main)
