"""`radbridge loras`: which LoRA drafts for whom, and how to change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from radbridge.cli.common import ConfigOption, account, err, existing_store, out, site_of, told
from radbridge.cli.lora_tables import events_table, named, owners_table, versions_table
from radbridge.config import Site
from radbridge.errors import ConfigError, NotThere
from radbridge.journal import lora_events
from radbridge.journal.stores import Stores, explain
from radbridge.loras import Act, Wanted, carry_out, folders_of, named_owner
from radbridge.registry import MANIFEST, LoraRegistry

app = typer.Typer(help="List, show, promote and roll back LoRA versions.", no_args_is_help=True)

RegistryOption = Annotated[
    Path | None, typer.Option("--registry", help="The registry's folder; without it that of the config.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why: kept in the journal. Name no patient in it.")]
VersionArgument = Annotated[str, typer.Argument(help="Such as rad/900001@v7-0a1b2c3d4e5f, or just rad/900001@v7.")]
OwnerArgument = Annotated[str, typer.Argument(help="Such as rad/900001, site/main or persona/succinct.")]


@app.command("list")
def list_loras(config: ConfigOption = None, registry: RegistryOption = None) -> None:
    """List whose LoRAs there are: what is served, on trial, and was served before.

    Example: [cyan]radbridge loras list --config site.toml[/]
    """
    with told():
        loras = _open(config, registry).loras
        table = owners_table(loras)
    out.print(table if table.row_count else f"no LoRA yet in {loras.root}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="An owner (rad/900001) or a version (rad/900001@v7).")],
    config: ConfigOption = None,
    registry: RegistryOption = None,
) -> None:
    """Show an owner's versions, or one version's manifest; whether the files are those published; what was done.

    Status 1 when a file isn't what was published.

    Example: [cyan]radbridge loras show rad/900001@v7 --config site.toml[/]
    """
    with told():
        desk = _open(config, registry)
        owner = named_owner(name)
        folders = folders_of(desk.loras, name)
        table, sound = versions_table(desk.loras, owner, folders)
        out.print(table)
        if name.partition("@")[2]:
            _print_manifest(desk.loras.root / owner / folders[0])
        _print_events(desk.site, owner)
    if not sound:
        err.print("[red]not sound:[/] publish it again, or promote or roll back to another version", highlight=False)
        raise typer.Exit(1)


@app.command()
def promote(
    version: VersionArgument,
    config: ConfigOption = None,
    registry: RegistryOption = None,
    reason: ReasonOption = "",
    force: Annotated[bool, typer.Option("--force", help="Also when it is for another base than the champion.")] = False,
) -> None:
    """Serve a version from the next draft on. Drafts under way keep the one that they began with.

    Example: [cyan]radbridge loras promote rad/900001@v7 --reason "gate passed" --config site.toml[/]
    """
    _carry_out(config, registry, _wanted(Act.PROMOTE, version, reason, force=force))


@app.command()
def rollback(
    owner: OwnerArgument,
    config: ConfigOption = None,
    registry: RegistryOption = None,
    reason: ReasonOption = "",
) -> None:
    """Serve the previous version again, from the next draft on. Twice brings back where it began.

    Example: [cyan]radbridge loras rollback rad/900001 --reason "drops laterality" --config site.toml[/]
    """
    _carry_out(config, registry, _wanted(Act.ROLLBACK, owner, reason))


@app.command()
def challenge(
    version: VersionArgument,
    config: ConfigOption = None,
    registry: RegistryOption = None,
    reason: ReasonOption = "",
) -> None:
    """Put a version on trial beside the champion, as the model server's `lifecycle` says: canary or shadow.

    Example: [cyan]radbridge loras challenge rad/900001@v7 --config site.toml[/]
    """
    _carry_out(config, registry, _wanted(Act.CHALLENGE, version, reason))


@app.command()
def withdraw(
    owner: OwnerArgument,
    config: ConfigOption = None,
    registry: RegistryOption = None,
    reason: ReasonOption = "",
) -> None:
    """End the challenger's trial without promoting it.

    Example: [cyan]radbridge loras withdraw rad/900001 --config site.toml[/]
    """
    _carry_out(config, registry, _wanted(Act.WITHDRAW, owner, reason))


@app.command()
def retire(
    owner: OwnerArgument,
    config: ConfigOption = None,
    registry: RegistryOption = None,
    reason: ReasonOption = "",
) -> None:
    """Serve none of an owner's versions: their persona, the site's LoRA or the base drafts. `rollback` brings it back.

    Example: [cyan]radbridge loras retire rad/900001 --reason "has left" --config site.toml[/]
    """
    _carry_out(config, registry, _wanted(Act.RETIRE, owner, reason))


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What every command works with."""

    site: Site
    loras: LoraRegistry


def _open(config: Path | None, folder: Path | None) -> Desk:
    site = site_of(config)
    root = folder or site.registry
    if root is None:
        raise ConfigError(
            ["model.loras: not set; set it (or training.registry) to the LoRA registry's folder, or give --registry"]
        )
    return Desk(site=site, loras=LoraRegistry(root))


def _wanted(act: Act, name: str, reason: str, *, force: bool = False) -> Wanted:
    return Wanted(act=act, name=name, actor=account(), via="cli", reason=reason, force=force)


def _carry_out(config: Path | None, registry: Path | None, wanted: Wanted) -> None:
    """Flip, with what is noted of it in the journal, and tell what stands now."""
    with told():
        desk = _open(config, registry)
        stores = _journal(desk.site)
        try:
            done = carry_out(desk.loras, wanted, partial(_record, stores))
        finally:
            if stores is not None:
                stores.dispose()
        if done.event is None:
            out.print(f"{done.owner}: nothing to change", highlight=False)
        elif stores is None:
            err.print("[yellow]recorded nowhere:[/] there is no journal here; name the site's file with --config")
        for alias, stands in named(done.standing):
            out.print(f"{alias:>10}  {stands.name}", highlight=False)


def _record(stores: Stores | None, operation: Callable[[Connection, Sequence[Any]], Any], item: object) -> None:
    if stores is None:
        return
    try:
        with stores.begin() as conn:
            operation(conn, [item])
    except SQLAlchemyError as error:
        raise explain(error) from None


def _journal(site: Site) -> Stores | None:
    """The site's journal, where there is one: a registry can be looked after on another machine."""
    try:
        return existing_store(site)
    except NotThere:
        return None


def _print_manifest(folder: Path) -> None:
    with suppress(OSError, ValueError):  # the table has said that it is damaged
        out.print_json((folder / MANIFEST).read_text(encoding="utf-8"))


def _print_events(site: Site, owner: str) -> None:
    stores = _journal(site)
    if stores is None:
        out.print("no journal, so no events; name the site with --config")
        return
    with stores.connect() as conn:
        events = lora_events.of_owner(conn, owner)
    stores.dispose()
    out.print(events_table(events) if events else "no event yet")
