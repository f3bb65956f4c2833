"""`radbridge loras`: which LoRA drafts for whom, and how to change it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from radbridge.cli.common import ConfigOption, account, err, existing_store, out, site_of, told
from radbridge.cli.lora_tables import events_table, named, owners_table, versions_table
from radbridge.config import Site
from radbridge.errors import ConfigError, JournalError, LoraRefused, RegistryError
from radbridge.journal import lora_events
from radbridge.journal.lora_events import LoraEvent
from radbridge.journal.schema import LoraAction
from radbridge.journal.stores import Stores, explain
from radbridge.registry import MANIFEST, Aliases, AliasNames, LoraRegistry, LoraVersion, is_owner, owner_of

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
        owner = _owner(name)
        folders = _find(desk.loras, name)
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
    with told():
        desk = _open(config, registry)
        chosen = _version(desk.loras, version)
        if not force:
            _check_base(desk.loras, chosen)
        _change(desk, chosen.owner, LoraAction.PROMOTED, lambda: desk.loras.promote(chosen), reason=reason)


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
    with told():
        desk = _open(config, registry)
        of = _owner(owner)
        _change(desk, of, LoraAction.ROLLED_BACK, lambda: desk.loras.rollback(of), reason=reason)


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
    with told():
        desk = _open(config, registry)
        chosen = _version(desk.loras, version)
        _change(desk, chosen.owner, LoraAction.CHALLENGED, lambda: desk.loras.challenge(chosen), reason=reason)


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
    with told():
        desk = _open(config, registry)
        of = _owner(owner)
        _change(desk, of, LoraAction.WITHDRAWN, lambda: desk.loras.withdraw_challenger(of), reason=reason)


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
    with told():
        desk = _open(config, registry)
        of = _owner(owner)
        _change(desk, of, LoraAction.ROLLED_BACK, lambda: desk.loras.retire(of), reason=reason)


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


def _owner(name: str) -> str:
    """The owner in `rad/<id>` or `rad/<id>@v7`, its id encoded or as HL7 has it."""
    owner = name.partition("@")[0]
    if is_owner(owner):
        return owner
    kind, slash, id = owner.partition("/")
    if not slash:
        raise RegistryError(f"{owner!r} names no owner; write rad/<id>, site/<name> or persona/<name>")
    return owner_of(kind, id)


def _find(loras: LoraRegistry, name: str) -> list[str]:
    """The folders that `rad/<id>` (all of them) or `rad/<id>@v7` (one) means."""
    wanted = name.partition("@")[2]
    found = [f for f in loras.folders(_owner(name)) if not wanted or f == wanted or f.startswith(f"{wanted}-")]
    if not found:
        raise RegistryError(f"there is no {name} in {loras.root}; `radbridge loras list` shows what there is")
    return found


def _version(loras: LoraRegistry, name: str) -> LoraVersion:
    owner, _, wanted = name.partition("@")
    if not wanted:
        raise RegistryError(f"which version? `radbridge loras show {owner}` lists them; write {owner}@v<number>")
    [folder] = _find(loras, name)
    version = loras.version(f"{_owner(name)}@{folder}")
    if version is None:
        raise RegistryError(f"{name} is gone meanwhile")
    return version


def _check_base(loras: LoraRegistry, version: LoraVersion) -> None:
    """A LoRA for another base than the one being served would be refused at every draft."""
    with suppress(LoraRefused):  # a damaged champion is a reason to promote another
        champion = loras.champion(version.owner)
        if champion and champion.base_digest != version.base_digest:
            raise RegistryError(
                f"{version.name} is for the base {version.base_digest[:12]}, the champion for "
                f"{champion.base_digest[:12]}: the model server refuses what isn't for its own base. "
                "When the base changes with it, add --force"
            )


def _change(desk: Desk, owner: str, action: LoraAction, change: Callable[[], Aliases], *, reason: str) -> None:
    """Flip, note it in the journal, and tell what stands now."""
    before = _names(desk.loras, owner)
    standing = change()
    after = desk.loras.alias_names(owner)
    if after == before:
        out.print(f"{owner}: nothing to change", highlight=False)
    else:
        subject = {LoraAction.CHALLENGED: after.challenger, LoraAction.WITHDRAWN: before.challenger}
        folder = subject.get(action, after.champion)
        event = LoraEvent(
            at=datetime.now(UTC),
            owner=owner,
            version=f"{owner}@{folder}" if folder else owner,
            action=action,
            actor=account(),
            reason=reason,
        )
        _record(desk.site, event)
    for alias, stands in named(standing):
        out.print(f"{alias:>10}  {stands.name}", highlight=False)


def _names(loras: LoraRegistry, owner: str) -> AliasNames:
    try:
        return loras.alias_names(owner)
    except LoraRefused:  # the change may be about to mend it
        return AliasNames()


def _record(site: Site, event: LoraEvent) -> None:
    stores = _journal(site)
    if stores is None:
        err.print("[yellow]recorded nowhere:[/] there is no journal here; name the site's file with --config")
        return
    try:
        with stores.begin() as conn:
            lora_events.record(conn, [event])
    except SQLAlchemyError as error:
        raise JournalError(f"the change is made, but not recorded: {explain(error)}") from None
    finally:
        stores.dispose()


def _journal(site: Site) -> Stores | None:
    """The site's journal, where there is one: a registry can be looked after on another machine."""
    try:
        return existing_store(site)
    except ConfigError:
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
