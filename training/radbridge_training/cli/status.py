"""`radbridge train status`: where everybody stands."""

from __future__ import annotations

from rich.table import Table

from radbridge.cli.common import ConfigOption, out, site_of, told


def status(config: ConfigOption = None) -> None:
    """Show for everybody: new reports, how the last turn ended and why, what drafts for them, and its trial.

    `harm` and `win` are e-values: 20 is evidence at the level of 0.05, whenever one looks.

    Example: [cyan]radbridge train status --config site.toml[/]
    """
    from radbridge_training.turn.status import read_standings
    from radbridge_training.turn.workshop import open_workshop

    table = Table("for", "reports", "new", "last turn", "champion", "challenger", "trial", box=None)
    with told(), open_workshop(site_of(config)) as shop:
        for who in read_standings(shop):
            champion = f"{who.champion} (marked: to be trained anew)" if who.is_marked else who.champion
            counts = (str(who.reports), str(who.new))
            table.add_row(who.radiologist, *counts, who.last, champion, who.challenger, "\n".join(who.trials))
    out.print(table if table.row_count else "nobody has signed a report that is remembered")
