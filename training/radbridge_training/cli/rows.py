"""`radbridge train examples`: what a turn would learn from, as files to look at or to try recipes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from radbridge.cli.common import ConfigOption, site_of, told
from radbridge.cli.common import out as screen
from radbridge_training.cli.run import OnlyOption, RecipeOption, read_recipe


def examples(
    out: Annotated[Path, typer.Option("--out", help="Folder to write: <out>/rad/<id>/1-examples/*.jsonl.")],
    config: ConfigOption = None,
    recipe: RecipeOption = None,
    only: OnlyOption = None,
) -> None:
    """Write what would be learned from everybody's signed reports, and count what each rule took away.

    The files hold de-identified report texts: keep them where reports may be kept.

    Example: [cyan]radbridge train examples --config site.toml --out var/rows[/]
    """
    from radbridge_training.turn.workshop import open_workshop
    from radbridge_training.turn.writing import write_examples

    table = Table("for", "reports", "learn", "dev", "later", "examples", "rules", box=None)
    with told():
        site = site_of(config)
        with open_workshop(site) as shop:
            for owner, done, reason in write_examples(shop, read_recipe(recipe, site), out, only or ()):
                told_of = done.told if done else {}
                counts = (str(told_of.get(key, "")) for key in ("reports", "learn", "dev", "later", "examples"))
                rules = ", ".join(f"{rule} {count}" for rule, count in told_of.get("rules", {}).items())
                table.add_row(owner, *counts, rules or reason)
    screen.print(table)
