"""`radbridge dead`: what waits for a person, and what a person does about it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from radbridge.audit import What
from radbridge.cli.common import (
    ConfigOption,
    account,
    add_row,
    clock,
    noted,
    out,
    plain,
    reading,
    site_of,
    told,
    writing,
)
from radbridge.errors import ConfigError
from radbridge.journal import dead
from radbridge.journal.dead import Act, Dead

app = typer.Typer(help="Messages and deliveries that wait for a person.", no_args_is_help=True)

_MOST = 100_000
Ids = Annotated[list[str], typer.Argument(help="Ids as `list` shows them: m17, d9.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the audit trail.")]


@app.command("list")
def list_dead(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of each, the newest first.")] = 50,
) -> None:
    """List messages that were rejected, failed or quarantined, and deliveries that are dead or were refused.

    Example: [cyan]radbridge dead list --config site.toml[/]
    """
    with told():
        site = site_of(config)
        note = noted(What.VIEWED, "dead list")
        with reading(site, seen=lambda conn: dead.noted(note, dead.everything(conn, limit))) as conn:
            found = dead.everything(conn, limit)
    table = Table("id", "since (UTC)", "what", "accession", "from / to", "state", "tries", "why")
    for one in found:
        add_row(table, one.id, clock(one.at), one.kind, one.accession, one.where, one.state, str(one.tries), one.reason)
    out.print(table if found else "nothing waits for a person")


@app.command("show")
def show_dead(id: Annotated[str, typer.Argument(help="m17, d9.")], config: ConfigOption = None) -> None:
    """Show one with its text.

    Example: [cyan]radbridge dead show m17 --config site.toml[/]
    """
    with told():
        site = site_of(config)
        note = noted(What.VIEWED, "dead show", id=id)
        with reading(site, seen=lambda conn: dead.noted(note, [dead.show(conn, id)])) as conn:
            one = dead.show(conn, id)
    lines = {
        "state": one.state,
        "what": one.kind,
        "accession": one.accession,
        "from / to": one.where,
        "since": clock(one.at),
        "tries": str(one.tries),
        **({"first sent": clock(one.first_sent_at)} if one.first_sent_at else {}),
        "why": one.reason,
    }
    out.print(
        Panel(Text("\n").join(Text.assemble((f"{k}: ", "bold"), plain(v)) for k, v in lines.items()), title=one.id)
    )
    text = one.raw.decode("utf-8", "replace").replace("\r", "\n").strip()
    out.print(Panel(plain(f"{len(one.raw)} bytes that are no text" if "\0" in text else text or "(nothing)")))


@app.command("retry")
def retry_dead(
    ids: Annotated[list[str] | None, typer.Argument(help="m17, d9.", show_default=False)] = None,
    config: ConfigOption = None,
    to: Annotated[str, typer.Option("--to", help="All deliveries to this destination that can be sent.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Though a later message of the case was applied.")] = False,
    reason: Reason = "",
) -> None:
    """Apply a message again, or send a delivery again: the same bytes under the same control id.

    Example: [cyan]radbridge dead retry m17 d9 --reason "table fixed" --config site.toml[/]
    """
    with told():
        if bool(ids) == bool(to):
            raise ConfigError(["name ids, or a destination with --to"])
        site = site_of(config)
        refused: list[str] = []
        done = 0
        with writing(site) as conn:
            for id in ids or [one.id for one in _to(dead.everything(conn, _MOST), to)]:
                try:
                    dead.retry(conn, [Act(id=id, actor=account(), via="cli", reason=reason, force=force)])
                    done += 1
                except ConfigError as error:
                    refused += error.problems
        out.print(f"{done} retried")
        if refused:
            raise ConfigError(refused)


def _to(found: list[Dead], destination: str) -> list[Dead]:
    """The deliveries to one destination, oldest first."""
    return [one for one in reversed(found) if not one.is_message and one.where == destination]


@app.command("drop")
def drop_dead(
    ids: Ids,
    config: ConfigOption = None,
    reason: Reason = "",
) -> None:
    """Give up messages and deliveries. They are kept, with who dropped them and why.

    Example: [cyan]radbridge dead drop m17 --reason "test message" --config site.toml[/]
    """
    with told():
        site = site_of(config)
        with writing(site) as conn:
            dead.drop(conn, [Act(id=id, actor=account(), via="cli", reason=reason) for id in ids])
    out.print(f"{len(ids)} dropped")
