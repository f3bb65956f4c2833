"""`radbridge store`: the journal's database as a whole: what it holds, backups, the purge, encryption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from radbridge.audit import What
from radbridge.cli.common import (
    ConfigOption,
    account,
    err,
    existing_store,
    noted,
    out,
    reading,
    refuse_running,
    site_of,
    told,
)
from radbridge.config import Encryption, Site
from radbridge.errors import BackupFault, ConfigError, SealError
from radbridge.flow.trail import make_cut
from radbridge.journal import audit, backup, cursors, keys, purge, resealing
from radbridge.journal.keys import Ring
from radbridge.journal.purge import Cut, Kind
from radbridge.journal.resealing import Mode
from radbridge.journal.sealing import sealer_of
from radbridge.journal.stores import Stores, explain, open_store

app = typer.Typer(help="The journal's database: what it holds, backups, the purge, encryption.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="The backup, such as radbridge-2026-11-22.tar.gz.")]


@app.command()
def status(
    config: ConfigOption = None,
    sealed: Annotated[
        bool, typer.Option("--keys", help="Count what each key has sealed: reads every document.")
    ] = False,
) -> None:
    """Show what the journal holds, and what its documents are sealed with.

    Example: [cyan]radbridge store status --keys --config site.toml[/]
    """
    with told():
        site = site_of(config)
        table = Table("table", "rows")
        with reading(site) as conn:
            for each in backup.tables():
                rows = conn.execute(select(func.count()).select_from(each)).scalar_one()
                table.add_row(each.name, f"{rows:,}")
            out.print(f"{conn.dialect.name}, shape {backup.revision(conn)}", highlight=False)
            out.print(table)
            known = keys.load(conn)
            counts = resealing.count_keys(conn) if sealed else {}
        _print_keys(known, counts, is_counted=sealed)


def _print_keys(known: list[keys.DataKey], counts: dict[int, int], *, is_counted: bool) -> None:
    if not known:
        out.print("documents are stored as they are; [encryption] in the site file seals them", markup=False)
        return
    table = Table("key", "under", "made (UTC)", "seals", "state", *(["values"] if is_counted else []))
    for key in known:
        state = "given up as lost" if key.lost_at else "opens what it sealed" if key.retired_at else "seals"
        row = [str(key.id), key.kek, f"{key.created_at:%Y-%m-%d %H:%M}", f"{key.seals:,}", state]
        table.add_row(*row, *([f"{counts.get(key.id, 0):,}"] if is_counted else []))
    out.print(table)
    if is_counted:
        out.print(f"{counts.get(0, 0):,} values are stored as they are", highlight=False)


@app.command("backup")
def back_up(file: FileArgument, config: ConfigOption = None) -> None:
    """Write one moment of the journal to a file, beside a running gateway. It holds PHI: keep it as you keep that.

    Either database is filled from it, so this is also the way from SQLite to PostgreSQL and back.

    Example: [cyan]radbridge store backup radbridge-2026-11-22.tar.gz --config site.toml[/]
    """
    with told():
        if file.exists():
            raise BackupFault(f"{file} exists; name another file")
        with reading(site_of(config), noted(What.BACKUP, "store backup")) as conn:
            manifest = backup.write(conn, file)
    rows = sum(manifest.rows.values())
    err.print(f"{rows:,} rows written to {file}; audit head {manifest.head}", highlight=False)
    if manifest.keys:
        names = ", ".join(manifest.keys)
        err.print(f"[yellow]it opens only with the site's key[/] ({names}): keep that elsewhere", highlight=False)


@app.command()
def restore(file: FileArgument, config: ConfigOption = None) -> None:
    """Fill a new, empty journal from a backup: all of it, or nothing. Then the audit trail is added up.

    Example: [cyan]radbridge store restore radbridge-2026-11-22.tar.gz --config site.toml[/]
    """
    with told():
        site = site_of(config)
        keys.check(site.encryption, backup.read_keys(file))
        stores = open_store(site.store)  # without the keys: an empty journal would get a first one of its own
        with _used(stores), stores.claim(), stores.begin() as conn:
            manifest = backup.restore(conn, file)
        with reading(site, noted(What.RESTORED, "store restore", head=manifest.head)) as conn:
            found = audit.verify(conn, kept=audit.Head.parse(manifest.head))
    rows = sum(manifest.rows.values())
    err.print(f"{rows:,} rows restored; the audit trail is whole up to {found.head}", highlight=False)


@app.command("purge")
def purge_now(
    config: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
) -> None:
    """Take away what the table retention says is kept no longer. A gateway does so by itself once a day.

    Example: [cyan]radbridge store purge --dry-run --config site.toml[/]
    """
    with told():
        site = site_of(config)
        if not site.retention.is_on:
            raise ConfigError(["retention: every key is 0, so everything is kept; nothing to purge"])
        gone = _count(site) if dry_run else _purge(site)
    for name, rows in sorted(gone.items()):
        out.print(f"{name}: {rows:,} {'would go' if dry_run else 'gone'}", highlight=False)
    if not gone:
        out.print("nothing is old enough")


def _count(site: Site) -> Counter[str]:
    with reading(site) as conn:
        return +Counter(purge.count(conn, make_cut(site, datetime.now(UTC))))


def _purge(site: Site) -> Counter[str]:
    cut, gone = replace(make_cut(site, datetime.now(UTC)), actor=account(), via="cli"), Counter[str]()
    with _opened(site) as stores:
        for kind in purge.KINDS:
            while taken := _take_some(stores, kind, cut):
                gone[kind.name] += taken
        with stores.begin() as conn:
            audit.note(conn, [noted(What.PURGED, "store purge", **purge.tell(gone))])
            cursors.done(conn, cursors.PURGE)
    purge.finish(site.store.url)
    return +gone


def _take_some(stores: Stores, kind: Kind, cut: Cut) -> int:
    with stores.connect() as conn:
        rows = purge.look(conn, kind, cut)
    if not rows:
        return 0
    with stores.begin() as conn:
        return purge.take(conn, kind, cut, rows)


@app.command()
def seal(config: ConfigOption = None) -> None:
    """Seal every document of a journal that was kept without encryption. No gateway may run meanwhile.

    Example: [cyan]radbridge store seal --config site.toml[/]
    """
    with told(), _alone(_encrypted(config)) as stores:
        changed = _reseal_noted(stores, Mode.SEALED, "store seal")
        resealing.compact(stores.store.url)
        purge.finish(stores.store.url)
    err.print(f"{changed:,} values sealed", highlight=False)


@app.command()
def unseal(config: ConfigOption = None) -> None:
    """Store every document as it is again; take encryption out of the file then. No gateway may run meanwhile.

    Example: [cyan]radbridge store unseal --config site.toml[/]
    """
    with told(), _alone(_encrypted(config)) as stores:
        changed = _reseal(stores, Mode.PLAIN)
        with stores.begin() as conn:
            refuse_running(stores, conn)  # one may have been started since
            resealing.end_sealing(conn, noted(What.KEY_ROTATED, "store unseal", rows=str(changed)))
    err.print(f"{changed:,} values unsealed: take the table encryption out of the site's file now", highlight=False)


@app.command()
def rotate(
    config: ConfigOption = None,
    rewrite: Annotated[bool, typer.Option("--rewrite", help="Seal what is stored with the new key, too.")] = False,
) -> None:
    """Seal with a new key from now on; running gateways take it within a minute. Old keys go on opening.

    Example: [cyan]radbridge store rotate --rewrite --config site.toml[/]
    """
    changed = 0
    with told(), _opened(_encrypted(config)) as stores:
        ring = _ring(stores)
        with stores.begin() as conn:
            number = ring.rotate(conn)
            audit.note(conn, [noted(What.KEY_ROTATED, "store rotate", key_id=str(number))])
        with stores.begin() as conn:
            ring.tend(conn)
        if rewrite:
            changed = _reseal_noted(stores, Mode.NEWEST, "store rotate")
            purge.finish(stores.store.url)
    err.print(f"key {number} seals from now on; {changed:,} values sealed anew", highlight=False)


@app.command()
def rewrap(
    config: ConfigOption = None,
    key_file: Annotated[Path | None, typer.Option("--to-key-file", help="The site's new key.")] = None,
    key_command: Annotated[str, typer.Option("--to-key-command", help="The new key service's program.")] = "",
) -> None:
    """Wrap the journal's keys under another key of the site, while no gateway runs. No document changes.

    Then name the new key in the site's file: a gateway with the old one couldn't open what is sealed from then on.

    Example: [cyan]radbridge store rewrap --to-key-file /etc/radbridge/key2 --config site.toml[/]
    """
    with told():
        if (key_file is None) == (not key_command):
            raise ConfigError(["store rewrap needs one of --to-key-file and --to-key-command"])
        other = Encryption(key_file=key_file, key_command=tuple(key_command.split()))
        with _alone(_encrypted(config)) as stores:
            ring = _ring(stores)
            with stores.begin() as conn:
                count = ring.rewrap(conn, other)
                audit.note(conn, [noted(What.KEY_ROTATED, "store rewrap", keys=str(count))])
    err.print(f"{count} keys wrapped anew: name the new key under encryption in the site's file", highlight=False)


def _encrypted(config: Path | None) -> Site:
    site = site_of(config)
    if not site.encryption.is_on:
        raise ConfigError(["encryption: set key_file or key_command"])
    return site


def _ring(stores: Stores) -> Ring:
    ring = sealer_of(stores.writer.dialect)
    if not isinstance(ring, Ring):
        raise SealError("this cipher has no keys of its own")
    return ring


@contextmanager
def _opened(site: Site) -> Iterator[Stores]:
    stores = existing_store(site)
    with _used(stores):
        yield stores


@contextmanager
def _used(stores: Stores) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise explain(error) from None
    finally:
        stores.dispose()


@contextmanager
def _alone(site: Site) -> Iterator[Stores]:
    """Raises ConfigError while a gateway runs: one with other settings would misread what is changed under it."""
    with _opened(site) as stores, stores.claim():
        with stores.connect() as conn:
            refuse_running(stores, conn)
        yield stores


def _reseal_noted(stores: Stores, mode: Mode, command: str) -> int:
    changed = _reseal(stores, mode)
    with stores.begin() as conn:
        audit.note(conn, [noted(What.KEY_ROTATED, command, rows=str(changed))])
    return changed


def _reseal(stores: Stores, mode: Mode) -> int:
    changed = 0
    for place in resealing.places():
        after = None
        while True:
            with stores.begin() as conn:
                done = resealing.reseal_some(conn, place, mode, after=after)
            changed += done.changed
            if (after := done.last) is None:
                break
    return changed
