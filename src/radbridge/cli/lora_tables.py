"""The tables of `radbridge loras`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from radbridge.cli.common import clock
from radbridge.errors import LoraRefused
from radbridge.journal.lora_events import LoraEvent
from radbridge.registry import Aliases, LoraRegistry, LoraVersion, Manifest, measure, read_manifest, verify

MIB = 2**20
MOST_METRICS = 3
"""In a table; the manifest has them all."""


def owners_table(loras: LoraRegistry) -> Table:
    """A row for each owner. What is damaged says so in its row."""
    table = Table("owner", "champion", "challenger", "previous", "versions", "number", "trained on", "metrics", "MiB")
    for owner in loras.owners():
        table.add_row(owner, *_owner_row(loras, owner))
    return table


def _owner_row(loras: LoraRegistry, owner: str) -> list[str]:
    count = str(len(loras.folders(owner)))
    try:
        standing = loras.aliases(owner)
        named = [v.folder if v else "-" for v in (standing.champion, standing.challenger, standing.previous)]
        return [*named, count, *(_facts(standing.champion) if standing.champion else ())]
    except LoraRefused as refusal:
        return [f"[red]{refusal.reason}[/]", "", "", count]


def _facts(version: LoraVersion) -> list[str]:
    manifest = read_manifest(version.path)
    return [str(version.number), _window(manifest), _metrics(manifest), f"{measure(version.path) / MIB:.1f}"]


def versions_table(loras: LoraRegistry, owner: str, folders: Iterable[str]) -> tuple[Table, bool]:
    """A row for each version, its files read again; and whether all of them are those that were published."""
    table = Table(
        *("version", "alias", "number", "base", "prompt", "rank", "published (UTC)", "trained on", "metrics"),
        *("MiB", "files"),
    )
    sound = True
    aliases = _alias_of(loras, owner)
    for folder in folders:
        try:
            row = _version_row(loras, f"{owner}@{folder}")
        except LoraRefused as refusal:
            row, sound = [*[""] * 8, f"[red]{refusal.reason}[/]"], False
        table.add_row(folder, aliases.get(folder, ""), *row)
    return table, sound


def _version_row(loras: LoraRegistry, name: str) -> list[str]:
    version = loras.version(name)
    if version is None:
        raise LoraRefused(name, "gone meanwhile")
    verify(version)
    manifest = read_manifest(version.path)
    number, *facts = _facts(version)
    made = clock(manifest.created_at)[:19] if manifest.created_at else ""
    base = version.base_digest[:12]
    return [number, base, version.prompt_version, str(version.rank), made, *facts, "[green]ok[/]"]


def _alias_of(loras: LoraRegistry, owner: str) -> dict[str, str]:
    try:
        standing = loras.aliases(owner)
    except LoraRefused:
        return {}
    return {version.folder: alias for alias, version in named(standing)}


def named(standing: Aliases) -> Iterator[tuple[str, LoraVersion]]:
    """Each alias that names a version; the champion comes last."""
    for alias in ("previous", "challenger", "champion"):
        version: LoraVersion | None = getattr(standing, alias)
        if version is not None:
            yield alias, version


def events_table(events: Sequence[LoraEvent]) -> Table:
    """What was done with an owner's versions."""
    table = Table("at (UTC)", "what", "version", "by", "reason", title="events", title_justify="left")
    for event in events:
        table.add_row(clock(event.at), event.action, event.version, event.actor, Text(event.reason))
    return table


def _window(manifest: Manifest) -> str:
    if manifest.data_from is None and manifest.data_to is None:
        return "-"
    return f"{manifest.data_from or '?'} to {manifest.data_to or '?'}"


def _metrics(manifest: Manifest) -> str:
    shown = sorted(manifest.metrics.items())[:MOST_METRICS]
    return ", ".join(f"{name} {value:.3g}" for name, value in shown) or "-"
