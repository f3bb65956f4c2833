"""`radbridge audit`: the trail of who did what, added up and shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table
from sqlalchemy import Connection

from radbridge.audit import Note, What, to_fhir
from radbridge.cli.common import ConfigOption, add_row, clock, err, noted, out, reading, site_of, told, writing
from radbridge.cli.lost_key import give_key_up
from radbridge.config import Site
from radbridge.errors import ConfigError
from radbridge.journal import audit
from radbridge.journal.audit import Chained, Head

app = typer.Typer(help="The audit trail: who did what with which case.", no_args_is_help=True)

WORRY_S = 60.0
"""An event that has waited so long for the chain is a sign that nobody chains."""


@app.command()
def verify(
    config: ConfigOption = None,
    head: Annotated[str, typer.Option(help="SEQ:HASH that was kept outside: it must still be part of the chain.")] = "",
    start: Annotated[int, typer.Option("--from", min=0, help="Begin at this event; 0: at the first.")] = 0,
) -> None:
    """Add the chain up again: nothing in it was changed, taken out or put in. Status 1 when it was.

    Whoever owns the database could write the whole chain anew; only a head that was kept elsewhere finds that.

    Example: [cyan]radbridge audit verify --head 1204:9f3c… --config site.toml[/]
    """
    with told():
        kept = _parse(head) if head else None
        with reading(site_of(config)) as conn:
            found = audit.verify(conn, start=start, kept=kept)
    begins = f"after the purge of event {found.anchor}" if found.anchor else "from the first on"
    out.print(f"[green]whole[/]: {found.events} events {begins}, up to {found.head}", highlight=False)
    if found.lost:
        err.print(f"[yellow]{found.lost} of them can't be read:[/] their key was given up as lost", highlight=False)
    if found.pending and found.oldest is not None:
        age_s = (datetime.now(UTC) - found.oldest).total_seconds()
        out.print(f"{found.pending} wait to be chained, the oldest since {age_s:.0f} s", highlight=False)
        if age_s > WORRY_S:
            err.print("[yellow]is a gateway running?[/] the one that chains does so within a second", highlight=False)
    if found.unreadable:
        err.print(
            f"[red]{found.unreadable} of them can't be opened:[/] their key was taken out of data_key, or they were "
            "changed, and the chain stops before them. Put the row of data_key back from a backup; where it is lost "
            "for good, `radbridge audit give-up`",
            highlight=False,
        )
        raise typer.Exit(1)


@app.command("give-up")
def give_up(
    reason: Annotated[str, typer.Option("--reason", help="Why, for the trail.")],
    config: ConfigOption = None,
    key: Annotated[
        int | None, typer.Option(min=1, help="A key of the journal that is lost for good, as `store status` shows it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Give the key up without asking.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="The key is there after all: take it back.")] = False,
) -> None:
    """Take out notes that wait for the chain and can't be opened: the key that they were sealed with is lost for good.

    It takes none whose key may come back, and none at all while the site's own key is away. Each leaves a note with the
    digest of its bytes, so that the trail says what it lacks, and the chain goes on. `--key` says of a key that neither
    the site's key nor a backup brings back that it is lost: then the journal opens without it, while no gateway runs.
    `--key` with `--undo` takes a key back that the site's key opens after all.

    Example: [cyan]radbridge audit give-up --key 3 --reason "lost with the old key service" --config site.toml[/]
    """
    with told():
        site = site_of(config)
        if undo and key is None:
            raise ConfigError(["audit give-up: --undo takes a --key back"])
        if key is not None:
            give_key_up(site, key, reason, ask=not yes, undo=undo)
    if undo:
        return
    with told(), writing(site) as conn:
        note_of = partial(noted, What.DROPPED, "audit give-up", reason=reason)
        count = audit.give_up(conn, lambda detail: note_of(**detail))
    err.print(f"{count} note{'' if count == 1 else 's'} given up", highlight=False)


@app.command()
def head(config: ConfigOption = None) -> None:
    """Print the end of the chain, to be kept elsewhere.

    Example: [cyan]radbridge audit head --config site.toml >> /srv/worm/radbridge-heads[/]
    """
    with told(), reading(site_of(config)) as conn:
        end = audit.head(conn)
    typer.echo(f"{end}")


@app.command()
def show(
    config: ConfigOption = None,
    accession: Annotated[str, typer.Option(help="What was done with this case.")] = "",
    patient: Annotated[str, typer.Option(help="What was done with this patient's number.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The last so many events.")] = 30,
) -> None:
    """Show the last events, or all of one case or one patient. That you looked is noted too.

    Example: [cyan]radbridge audit show --accession A100001 --config site.toml[/]
    """
    looked = partial(noted, What.VIEWED, "audit show", accession=accession, patient=patient)
    nameless = 0
    with told(), reading(_site_to_show(config, accession, patient), looked()) as conn:
        if accession:
            found = audit.of_case(conn, accession)
        elif patient:
            found, nameless = audit.of_patient(conn, patient), audit.count_nameless(conn)
        else:
            found = audit.chained(conn, after=max(0, audit.head(conn).seq - limit), at_most=limit)
    table = Table("event", "at (UTC)", "what", "who", "case", "detail")
    for event in found:
        note = event.note
        who = " ".join(
            word for word in (note.actor, note.role, f"via {note.via}" if note.via else "", note.peer) if word
        )
        case = _tell_case(note, accession)
        detail = " ".join(f"{key}={value}" for key, value in note.detail.items())
        add_row(table, str(event.seq), clock(note.at), note.what, who, case, detail)
    out.print(table if found else "no event yet")
    if nameless:
        err.print(f"[yellow]{nameless} older events can't be read:[/] they may be of this patient too", highlight=False)


@app.command()
def export(
    config: ConfigOption = None,
    out_file: Annotated[Path | None, typer.Option("--out", "-o", help="Where to; without it, standard output.")] = None,
    start: Annotated[int, typer.Option("--from", min=1, help="The first event.")] = 1,
) -> None:
    """Write events as FHIR AuditEvents (R4, after IHE BALP), one a line. It is noted who did.

    Example: [cyan]radbridge audit export --out audit.ndjson --config site.toml[/]
    """
    count = 0
    with told():
        site = site_of(config)
        with reading(site, noted(What.EXPORTED, "audit export")) as conn:
            sink = out_file.open("wb") if out_file else sys.stdout.buffer
            try:
                for event in _from(conn, start):
                    sink.write(orjson.dumps(to_fhir(event.note, id=str(event.seq))) + b"\n")
                    count += 1
            finally:
                if out_file:
                    sink.close()
    err.print(f"{count} event{'' if count == 1 else 's'} written", highlight=False)


def _site_to_show(config: Path | None, accession: str, patient: str) -> Site:
    if accession and patient:
        raise ConfigError(["audit show takes one of --accession and --patient"])
    return site_of(config)


def _tell_case(note: Note, asked: str) -> str:
    """Of many cases the one that was asked for."""
    if note.entity is not None:
        return note.entity.accession
    if len(note.cases) < 2:
        return "".join(case.accession for case in note.cases)
    return f"{asked or note.cases[0].accession} and {len(note.cases) - 1} more"


def _from(conn: Connection, start: int) -> Iterator[Chained]:
    after = start - 1
    while events := audit.chained(conn, after=after):
        yield from events
        after = events[-1].seq


def _parse(text: str) -> Head:
    try:
        return Head.parse(text)
    except ValueError as error:
        raise ConfigError([f"--head {error}"]) from None
