"""`radbridge users`: who may log in, and what they may."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from radbridge.access import ROLES, Role
from radbridge.cli.common import ConfigOption, account, add_row, err, out, reading, site_of, told, writing
from radbridge.errors import ConfigError
from radbridge.journal import accounts, passwords
from radbridge.journal.accounts import Change

app = typer.Typer(help="Accounts: who may log in, and what they may.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The account's name.")]
RolesOption = Annotated[
    list[Role], typer.Option("--role", help=f"One of {', '.join(ROLES)}; may stand more than once.")
]
PasswordOption = Annotated[
    Path | None, typer.Option("--password-file", help="Holds the password; without it, it is asked for.")
]


@app.command()
def add(
    name: NameArgument,
    role: RolesOption,
    password_file: PasswordOption = None,
    config: ConfigOption = None,
) -> None:
    """Make an account with a password.

    Example: [cyan]radbridge users add alice --role operator --config site.toml[/]
    """
    with told():
        accounts.check_new(name, role)
        site = site_of(config)
        change = replace(_change(name), roles=frozenset(role), secret=_ask(password_file))
        with writing(site) as conn:
            accounts.add(conn, [change])
    err.print(f"{name} may log in as {', '.join(role)}", highlight=False)


@app.command("list")
def list_users(config: ConfigOption = None) -> None:
    """List the accounts.

    Example: [cyan]radbridge users list --config site.toml[/]
    """
    with told(), reading(site_of(config)) as conn:
        found = accounts.everybody(conn)
    table = Table("name", "roles", "from", "state")
    for one in found:
        state = "closed" if one.disabled else "locked" if one.is_locked else ""
        add_row(table, one.name, ", ".join(sorted(one.roles)), one.issuer, state)
    out.print(table)


@app.command()
def password(name: NameArgument, password_file: PasswordOption = None, config: ConfigOption = None) -> None:
    """Give an account another password; it is unlocked, and its sessions end.

    Example: [cyan]radbridge users password alice --config site.toml[/]
    """
    with told():
        site = site_of(config)
        change = replace(_change(name), secret=_ask(password_file))
        with writing(site) as conn:
            accounts.alter(conn, [change])
    err.print(f"{name} has a new password", highlight=False)


@app.command()
def roles(name: NameArgument, role: RolesOption, config: ConfigOption = None) -> None:
    """Give an account these roles instead of those it has, from its next request on.

    Example: [cyan]radbridge users roles alice --role viewer --config site.toml[/]
    """
    with told(), writing(site_of(config)) as conn:
        accounts.alter(conn, [replace(_change(name), roles=frozenset(role))])
    err.print(f"{name} is {', '.join(role)}", highlight=False)


@app.command()
def disable(
    name: NameArgument,
    enable: Annotated[bool, typer.Option("--enable", help="Open it again, and unlock it.")] = False,
    config: ConfigOption = None,
) -> None:
    """Close an account: its sessions end, its API keys open nothing.

    Example: [cyan]radbridge users disable alice --config site.toml[/]
    """
    with told(), writing(site_of(config)) as conn:
        accounts.alter(conn, [replace(_change(name), disabled=not enable)])
    err.print(f"{name} is {'open' if enable else 'closed'}", highlight=False)


def _change(name: str) -> Change:
    return Change(name=name, actor=account(), via="cli")


def _ask(file: Path | None) -> bytes:
    """What is kept of the new password. Never an option: those stand in the list of processes.

    Asked for before the journal is opened: on SQLite whoever writes keeps the gateway from acknowledging.
    """
    if file is None:
        text = typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        try:
            text = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"--password-file: {file}: {type(error).__name__}"]) from None
    try:
        return passwords.seal(text)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
