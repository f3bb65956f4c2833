"""`radbridge train run`: one whole turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.table import Table

from radbridge.cli.common import ConfigOption, err, out, site_of, told
from radbridge.config import Site
from radbridge.errors import RadBridgeError, TrainingFault
from radbridge.journal.schema import LoraAction
from radbridge_training.recipe import load_recipe
from radbridge_training.turn.job import tell_outcome
from radbridge_training.turn.lock import TurnRuns
from radbridge_training.turn.plan import find_canary_share
from radbridge_training.turn.steps import find_reason
from radbridge_training.turn_recipe import TurnRecipe

log = structlog.get_logger(__name__)

ANOTHER_TURN = 3
"""The exit status beside another turn."""
RecipeOption = Annotated[
    Path | None, typer.Option("--recipe", help="A turn's recipe (YAML); without it the site's, else the packaged one.")
]
OnlyOption = Annotated[list[str] | None, typer.Option("--only", help="Only this radiologist; may be repeated.")]


def run(
    config: ConfigOption = None,
    recipe: RecipeOption = None,
    only: OnlyOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="A new turn, also where one was broken off.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say whom it would train for, and why not.")] = False,
) -> None:
    """Train a LoRA for everybody with enough new signed reports, judge it, and publish what passes.

    A turn that was killed goes on where it was. Status 3: another turn runs.

    Example: [cyan]radbridge train run --config site.toml[/]
    """
    from radbridge_training.turn.driver import run_turn
    from radbridge_training.turn.workshop import open_workshop, plan

    with told(), _logged():
        site = site_of(config)
        chosen = read_recipe(recipe, site)
        with open_workshop(site) as shop:
            share = find_canary_share(site, shop.serving)
            if dry_run:
                owners, skips = plan(shop, chosen, only or ())
                rows = [(o.owner, f"would be trained: {o.new} new of {o.reports} reports") for o in owners]
                out.print(_table(rows + [(s.radiologist, s.reason) for s in skips]))
                return
            try:
                turn = run_turn(shop, chosen, err, only=only or (), fresh=fresh)
            except TurnRuns as runs:
                err.print(f"[yellow]{runs}[/]", highlight=False)
                raise typer.Exit(ANOTHER_TURN) from None
    outcomes = [o for owner in turn.told.owners if (o := turn.outcome(owner.owner))]
    rows = [(o.owner, tell_outcome(o)) for o in outcomes]
    out.print(_table(rows + [(s.radiologist, f"left out: {s.reason}") for s in turn.told.skips]))
    for page in sorted(turn.folder.rglob("page.html")):
        out.print(str(page), highlight=False, markup=False)
    if share == 0 and any(o.reason == LoraAction.CHALLENGED for o in outcomes):
        err.print("[yellow]on trial, but canary_share is 0:[/] it will write no draft", highlight=False)


@contextmanager
def _logged() -> Iterator[None]:
    """Why a turn can't run, also where nobody reads a terminal."""
    try:
        yield
    except OSError as error:
        reason = f"{find_reason(error)}; what was done stays done, and the next run goes on there"
        log.exception("a turn can't run", reason=reason)
        raise TrainingFault(reason) from None
    except RadBridgeError as error:
        if not err.is_terminal:
            log.error("a turn can't run", problems=getattr(error, "problems", (str(error),)))  # noqa: TRY400 - told()
        raise


def read_recipe(recipe: Path | None, site: Site) -> TurnRecipe:
    """The recipe that is named, else the site's, else the packaged one. Raises ConfigError."""
    path = recipe or site.training.recipe
    return load_recipe(path, TurnRecipe) if path else TurnRecipe()


def _table(rows: list[tuple[str, str]]) -> Table | str:
    if not rows:
        return "nobody has signed a report that is remembered"
    table = Table("for", "what", box=None)
    for who, what in rows:
        table.add_row(who, what)
    return table
