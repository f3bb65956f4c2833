"""`radbridge apikeys`: keys for programs that can't log in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from radbridge.access import ROLES, Role
from radbridge.cli.common import ConfigOption, account, add_row, err, out, reading, site_of, told, writing
from radbridge.journal import api_keys

app = typer.Typer(help="API keys: for programs that can't log in.", no_args_is_help=True)


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="Whose key it is; of an account that is closed, it opens nothing.")],
    role: Annotated[
        list[Role] | None, typer.Option("--role", help=f"One of {', '.join(ROLES)}; may stand more than once.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="A SMART scope instead of the roles', such as system/DiagnosticReport.cruds."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it holds.")] = 365,
    config: ConfigOption = None,
) -> None:
    """Make a key and print it, this once: only its digest is kept. It is sent as [cyan]Authorization: Bearer rbk_…[/].

    Example: [cyan]radbridge apikeys make monitoring --role viewer --days 90 --config site.toml[/]
    """
    with told():
        wanted = api_keys.Wanted(
            account=name,
            actor=account(),
            via="cli",
            roles=frozenset(role or ()),
            scopes=tuple(scope or ()),
            lives=timedelta(days=days),
        )
        with writing(site_of(config)) as conn:
            [key] = api_keys.make(conn, [wanted])
    typer.echo(key)


@app.command("list")
def list_keys(config: ConfigOption = None) -> None:
    """List the keys.

    Example: [cyan]radbridge apikeys list --config site.toml[/]
    """
    with told(), reading(site_of(config)) as conn:
        found = api_keys.everything(conn)
    table = Table("id", "whose", "may", "until", "last used", "state")
    for one in found:
        may = ", ".join((*sorted(one.roles), *one.scopes))
        state = "revoked" if one.revoked_at else "" if one.holds else "over"
        add_row(table, one.id, one.account, may, _day(one.expires_at), _day(one.used_at), state)
    out.print(table)


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="As `radbridge apikeys list` shows it.")], config: ConfigOption = None
) -> None:
    """End a key, from the next request on.

    Example: [cyan]radbridge apikeys revoke 0123456789abcdef --config site.toml[/]
    """
    with told(), writing(site_of(config)) as conn:
        api_keys.revoke(conn, [api_keys.Revocation(id=id, actor=account(), via="cli")])
    err.print(f"{id} opens nothing any more", highlight=False)


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""
