"""Each step of the optimizer alone, on files: no journal is needed, and nothing is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from radbridge.cli import common
from radbridge.cli.common import err, told
from radbridge.errors import ConfigError
from radbridge.learning import EXAMPLE, REPORT
from radbridge.registry import PEFT_CONFIG
from radbridge_training.optimize.figures import Figures, Tell
from radbridge_training.recipe import load_recipe
from radbridge_training.rows import load_rows
from radbridge_training.serving import serve_base
from radbridge_training.staging import drop, put, stage
from radbridge_training.turn_recipe import TurnRecipe

RecipeOption = Annotated[Path, typer.Option("--recipe", help="A recipe (YAML), such as training/recipes/sft.yaml.")]
ExamplesOption = Annotated[Path, typer.Option("--examples", help="Such as `radbridge train examples` writes.")]
BaseOption = Annotated[Path | None, typer.Option("--base", help="The base's folder; without it the packaged one.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder to write: whole or not at all.")]
ParentOption = Annotated[Path | None, typer.Option("--from", help="Folder of a LoRA to go on from; else a new one.")]
StartOption = Annotated[Path, typer.Option("--from", help="Folder of the LoRA to go on from.")]

_MADE = (PEFT_CONFIG, "verdict.json")
"""Files that only our own results hold."""


def sft(
    recipe: RecipeOption,
    examples: ExamplesOption,
    out: OutOption,
    base: BaseOption = None,
    parent: ParentOption = None,
) -> None:
    """Learn what was signed.

    Example: [cyan]radbridge train sft --recipe training/recipes/sft.yaml --examples learn.jsonl --out var/sft[/]
    """
    with told():
        plan, rows, folder = load_recipe(recipe, TurnRecipe), load_rows(examples, EXAMPLE), find_base(base)
        from radbridge_training.optimize.supervised import train_sft

        _train(
            out,
            lambda into, tell: train_sft(
                rows,
                base=folder,
                parent=parent,
                recipe=plan.sft,
                lora=plan.lora,
                common=plan.common,
                into=into,
                tell=tell,
            ),
        )


def prefer(
    recipe: RecipeOption, examples: ExamplesOption, out: OutOption, start: StartOption, base: BaseOption = None
) -> None:
    """Learn what was signed over what was drafted: DPO, or KTO where there are no pairs.

    Example: [cyan]radbridge train prefer --recipe training/recipes/prefer.yaml --examples learn.jsonl --from var/sft
    --out var/dpo[/]
    """
    with told():
        plan, rows, folder = load_recipe(recipe, TurnRecipe), load_rows(examples, EXAMPLE), find_base(base)
        from radbridge_training.optimize.preference import train_preference

        _train(
            out,
            lambda into, tell: train_preference(
                rows, base=folder, start=start, recipe=plan.prefer, common=plan.common, into=into, tell=tell
            ),
        )


def reinforce(
    *,
    recipe: RecipeOption,
    examples: ExamplesOption,
    out: OutOption,
    start: StartOption,
    reports: Annotated[Path, typer.Option("--reports", help="The reports that the examples were made of.")],
    base: BaseOption = None,
) -> None:
    """Learn what the guard and nearness to the signer's words reward: GRPO.

    Example: [cyan]radbridge train reinforce --recipe training/recipes/reinforce.yaml --examples learn.jsonl
    --reports reports.jsonl --from var/dpo --out var/grpo[/]
    """
    with told():
        plan, rows, folder = load_recipe(recipe, TurnRecipe), load_rows(examples, EXAMPLE), find_base(base)
        whole = load_rows(reports, REPORT)
        from radbridge_training.optimize.reinforce import train_grpo

        _train(
            out,
            lambda into, tell: train_grpo(
                rows,
                reports=whole,
                base=folder,
                start=start,
                recipe=plan.reinforce,
                common=plan.common,
                into=into,
                tell=tell,
            ),
        )


def reward(recipe: RecipeOption, examples: ExamplesOption, out: OutOption, base: BaseOption = None) -> None:
    """Learn to tell what was signed from what was drafted: a model for `reinforce`, which never writes.

    Example: [cyan]radbridge train reward --recipe training/recipes/reward.yaml --examples learn.jsonl --out var/rm[/]
    """
    with told():
        plan, rows, folder = load_recipe(recipe, TurnRecipe), load_rows(examples, EXAMPLE), find_base(base)
        from radbridge_training.optimize.reward_model import train_reward

        _train(
            out,
            lambda into, tell: train_reward(
                rows, base=folder, recipe=plan.reward, lora=plan.lora, common=plan.common, into=into, tell=tell
            ),
        )


def find_base(base: Path | None) -> Path:
    """The base's folder, whole. Raises ConfigError."""
    return serve_base({"base": str(base)} if base else {}).base


def settle_out(out: Path) -> Path:
    """The folder to write, whole. Raises ConfigError for one that holds something else: it would be replaced."""
    folder = out.resolve()
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not any((folder / name).is_file() for name in _MADE):
        raise ConfigError([f"--out: {out} is there already and holds other files; name a new folder"])
    return folder


def _train(out: Path, train: Callable[[Path, Tell], Figures]) -> None:
    """Train into a staged folder, put it in place, print the figures."""
    folder = settle_out(out)
    staged = stage(folder)
    try:
        with _bar() as tell:
            figures = train(staged, tell)
        put(staged, folder)
    finally:
        drop(folder)
    for name, value in figures.items():
        common.out.print(f"{name:>12}  {value:g}", highlight=False)


@contextmanager
def _bar() -> Iterator[Tell]:
    with Progress(console=err, disable=not err.is_terminal, transient=True) as progress:
        task = progress.add_task("")

        def tell(phase: str, done: int, total: int) -> None:
            progress.update(task, description=phase, completed=done, total=total)

        yield tell
