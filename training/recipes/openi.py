# .venv/bin/python training/recipes/openi.py --data DIR [--out var/openi]
# A site model of a public benchmark: 2,400 reports of OpenI (DIR/train.jsonl) beside the embedded base, measured on 292
# others (DIR/valid.jsonl). About five minutes on one core. With --decoder embedded or --decoder scratch it also trains
# a decoder to compare with, half an hour each. Nothing that is made here ships.
"""Makes a site model, drafts with it as a site would, and evaluates it beside the retrieval baselines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from radbridge.errors import ConfigError
from radbridge_training.site_model.decoding import DecoderPlan, Start
from radbridge_training.site_model.learning import Plan
from radbridge_training.site_model.making import make_site_model, write_site_model
from radbridge_training.site_model.reports import SignedReport, read_reports

EMBEDDED = Path(__file__).parents[2] / "model_server" / "radbridge_model_server" / "embedded" / "base"
OUT = Path("var/openi")
SITE = "site"
"""What the page calls the site model."""
NO_DRAFT_FOR_SOME = 1
"""The exit status of `radbridge draft` when rows have no draft, which the evaluation counts."""


def main(
    *,
    data: Annotated[Path, typer.Option(help="Folder with train.jsonl and valid.jsonl.")],
    out: Annotated[Path, typer.Option(help="Folder to write: base/, drafts, report.html, report.json.")] = OUT,
    base: Annotated[Path, typer.Option(help="Folder of the base model.")] = EMBEDDED,
    name: Annotated[str, typer.Option(help="What drafts call the model.")] = "openi-site",
    decoder: Annotated[list[Start] | None, typer.Option(help="Train a decoder too, from these weights.")] = None,
    decoder_epochs: Annotated[int, typer.Option(min=1, help="Times that a decoder sees each report.")] = 12,
    threads: Annotated[int, typer.Option(min=1, help="Of one matrix product.")] = 1,
    seed: Annotated[int, typer.Option(min=0)] = 7,
) -> None:
    """Make a site model, draft with it and evaluate it."""
    console = Console(stderr=True)
    torch.set_num_threads(threads)
    try:
        train, held = data / "train.jsonl", data / "valid.jsonl"
        signed = read_reports(train)
        out.mkdir(parents=True, exist_ok=True)
        with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn(), console=console) as p:
            learn_site(signed, out / "base", base=base, name=name, seed=seed, progress=p)
            for start in decoder or ():
                plan = DecoderPlan(epochs=decoder_epochs, seed=seed)
                learn_decoder(signed, out / f"decoder-{start}", base=base, start=start, plan=plan, progress=p)
        systems = {SITE: out / "base"} | {f"decoder-{start}": out / f"decoder-{start}" for start in decoder or ()}
        for system, folder in systems.items():
            draft(held, out / f"{system}.jsonl", folder)
        evaluate({system: out / f"{system}.jsonl" for system in systems}, held, train, out)
    except ConfigError as error:
        console.print(str(error), style="red", markup=False)
        sys.exit(2)
    console.print(f"to serve it: \\[model] base = {json.dumps(str((out / 'base').resolve()))}", highlight=False)


def learn_site(
    signed: list[SignedReport], folder: Path, *, base: Path, name: str, seed: int, progress: Progress
) -> None:
    """Write the site model's folder."""
    plan = Plan(seed=seed)

    def watch(reports: Iterable[SignedReport], count: int) -> Iterator[SignedReport]:
        return iter(progress.track(reports, total=count, description="reports as lessons"))

    epochs = progress.add_task("epochs", total=plan.epochs * plan.nets)
    model = make_site_model(signed, plan, watch=watch, on_epoch=lambda: progress.advance(epochs))
    write_site_model(folder, model, base=base, name=name)


def learn_decoder(
    signed: list[SignedReport], folder: Path, *, base: Path, start: Start, plan: DecoderPlan, progress: Progress
) -> None:
    """Write a decoder's folder."""
    from radbridge_training.site_model.decoder import train_decoder  # it imports transformers, which takes seconds

    bar = progress.add_task(f"decoder from {start}")

    def tell(step: int, steps: int, loss: float) -> None:
        progress.update(bar, completed=step, total=steps, description=f"decoder from {start}, loss {loss:.2f}")

    train_decoder(signed, base=base, start=start, plan=plan, out=folder, on_steps=tell)


def draft(cases: Path, drafts: Path, model: Path) -> None:
    """Draft all cases with the shipped command, whose configuration names only the model's folder."""
    config = drafts.with_suffix(".toml")
    config.write_text(f"[model]\nbase = {json.dumps(str(model.resolve()))}\n", encoding="utf-8")
    run("draft", "--config", config, "--in", cases, "--out", drafts, allowed=NO_DRAFT_FOR_SOME)


def evaluate(drafts: dict[str, Path], references: Path, train: Path, out: Path) -> None:
    """Write report.html and report.json."""
    named = [word for system, file in drafts.items() for word in ("--drafts", f"{system}={file}")]
    files = ("--references", references, "--train", train)
    run("evaluate", *named, *files, "--out", out / "report.html", "--json", out / "report.json")


def run(*words: object, allowed: int = 0) -> None:
    """Run a command of RadBridge. It says itself what is wrong."""
    status = subprocess.run([sys.executable, "-m", "radbridge", *map(str, words)], check=False).returncode
    if status not in (0, allowed):
        sys.exit(status)


if __name__ == "__main__":
    typer.run(main)
