"""`radbridge destinations`: where drafts go, how it is answering, and stopping it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from radbridge.cli.common import ConfigOption, account, add_row, clock, out, reading, site_of, told, writing
from radbridge.config.checks import RESERVED
from radbridge.journal import destinations
from radbridge.journal.destinations import DestinationState, Order

app = typer.Typer(help="Where drafts go.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The destination's name in the site's file.")]
_FORMS = {DestinationState.PAUSED: "paused", DestinationState.ACTIVE: "active"}


@app.command("list")
def list_destinations(config: ConfigOption = None) -> None:
    """List the destinations, what waits for each, and how each has been answering.

    Example: [cyan]radbridge destinations list --config site.toml[/]
    """
    with told():
        site = site_of(config)
        with reading(site) as conn:
            known = {place.name: place for place in destinations.known(conn)}
            waiting = destinations.waiting(conn)
    table = Table("name", "state", "waiting", "failures", "left alone until (UTC)", "last answer (UTC)", "by", "why")
    for name in sorted({*site.deliveries, *known, *waiting}):
        place = known.get(name, destinations.Destination(name=name))
        health = place.health
        add_row(
            table,
            name,
            place.state if name in (*site.deliveries, *RESERVED) else f"{place.state} (not in the site's file)",
            str(waiting.get(name, 0)),
            str(health.failures),
            clock(health.open_until) if health.open_until else "",
            clock(health.answered_at) if health.answered_at else "",
            place.actor,
            place.reason,
        )
    out.print(table if table.row_count else "no destination")


@app.command("pause")
def pause_destination(
    name: Name,
    config: ConfigOption = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever looks later.")] = "",
) -> None:
    """Send nothing to a destination until it is resumed. What is under way ends; all else is kept.

    Example: [cyan]radbridge destinations pause dictation --reason "upgrade until 14:00" --config site.toml[/]
    """
    _order(name, DestinationState.PAUSED, reason, config)


@app.command("resume")
def resume_destination(name: Name, config: ConfigOption = None) -> None:
    """Let a paused destination go on.

    Example: [cyan]radbridge destinations resume dictation --config site.toml[/]
    """
    _order(name, DestinationState.ACTIVE, "", config)


def _order(name: str, state: DestinationState, reason: str, config: ConfigOption) -> None:
    with told():
        site = site_of(config)
        with writing(site) as conn:
            among = frozenset(site.deliveries)
            one = Order(name=name, state=state, actor=account(), via="cli", reason=reason, among=among)
            (changed,) = destinations.order(conn, [one])
    out.print(f"{name} is {_FORMS[state]}{'' if changed else ' already'}")
