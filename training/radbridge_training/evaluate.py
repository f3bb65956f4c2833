"""Measures a base and its LoRAs: `python -m radbridge_training.evaluate --model FOLDER [--data reports.jsonl]`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from radbridge.coarse import draft_coarse
from radbridge.prompt import PromptInput
from radbridge_training.drafts import Writer
from radbridge_training.measures.rewrites import Case, Measures, measure
from radbridge_training.synth import PERSONAS, generate_reports

HELD_OUT_SEED = 990_001
"""No recipe draws from this seed on."""
_COLUMNS = ("unsupported", "refused", "style", "exact", "rare")


def read_cases(path: Path, limit: int) -> Iterator[PromptInput]:
    """The statements of the findings of JSON lines with `findings` and perhaps `indication`."""
    with path.open(encoding="utf-8") as lines:
        for line in islice(lines, limit):
            row = json.loads(line)
            yield from _pick(row["findings"], row.get("indication", ""))


def generate_cases(count: int) -> Iterator[PromptInput]:
    """The statements of held-out generated findings."""
    for report in generate_reports(HELD_OUT_SEED, count):
        yield from _pick(report.findings, report.indication)


def evaluate(
    model: Path, personas: Sequence[str], data: Path | None, limit: int, console: Console
) -> dict[str, Measures]:
    """The measures of each persona's rewrites of single statements, greedy, as they are served."""
    writer = Writer(model)
    cases = list(read_cases(data, limit) if data else generate_cases(limit))
    found: dict[str, Measures] = {}
    for persona in personas:
        texts = track(writer.write(cases, persona), persona, len(cases), console=console)
        told = [Case(statement=case.coarse, draft=text) for case, text in zip(cases, texts, strict=True)]
        found[persona] = measure(told, persona)
    return found


def _pick(findings: str, indication: str) -> Iterator[PromptInput]:
    for statement in draft_coarse(findings, indication=indication).statements:
        yield PromptInput(findings="", coarse=statement.text)


def _tabulate(found: dict[str, Measures], title: str) -> Table:
    table = Table("persona", "statements", *_COLUMNS, title=title, caption="See `Measures`.")
    for persona, m in found.items():
        shares = (m.unsupported, m.refused, m.style, m.exact, m.rare_copied)
        table.add_row(persona, str(m.statements), *(f"{100 * s:.1f}" for s in shares))
    return table


def main(  # noqa: PLR0917 - Typer's options
    model: Annotated[Path, typer.Option(help="The folder with base/ and loras/.")],
    data: Annotated[Path | None, typer.Option(help="JSON lines with findings; generated reports otherwise.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many reports.")] = 200,
    persona: Annotated[list[str] | None, typer.Option(help="Only these; `base` is the model without a LoRA.")] = None,
    threads: Annotated[int, typer.Option(help="Of the CPU.")] = 2,
    show: Annotated[int, typer.Option(help="Print so many drafts that would be refused. They quote the data.")] = 0,
) -> None:
    """Measure rewrites. All figures are per cent."""
    console = Console()
    torch.set_num_threads(threads)
    if not (model / "base").is_dir():
        console.print(f"{model}: no base/ in it; train one with training/recipes/base.yaml", style="red", markup=False)
        sys.exit(2)
    found = evaluate(model, persona or PERSONAS, data, limit, console)
    console.print(_tabulate(found, str(data or "generated, held out")))
    for name, measures in found.items():
        for case, why in measures.refusals[:show]:
            console.print(f"\n{name}: {why}\n  statement: {case.statement}\n  draft: {case.draft}", markup=False)


if __name__ == "__main__":
    typer.run(main)
