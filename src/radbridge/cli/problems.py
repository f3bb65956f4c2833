"""`radbridge problems`: what waits for a person."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import Connection

from radbridge.audit import Note, What
from radbridge.cli.common import ConfigOption, add_row, clock, noted, out, reading, site_of, told
from radbridge.journal import dead, drafts


def problems(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of each, the newest first.")] = 20,
) -> None:
    """List messages that were rejected or couldn't be applied, deliveries without a yes, drafts that were kept back.

    Example: [cyan]radbridge problems --config site.toml[/]
    """
    with told():
        site = site_of(config)
        with reading(site, noted(What.SEARCHED, "problems"), seen=lambda conn: _seen(conn, limit)) as conn:
            tables = (*_dead_letters(conn, limit), _blocked_drafts(conn, limit))
    for table in tables:
        out.print(table if table.row_count else f"no {table.title}")


def _seen(conn: Connection, limit: int) -> list[Note]:
    """The cases and patients of what is listed."""
    note, found = noted(What.VIEWED, "problems"), dead.everything(conn, limit)
    letters = dead.noted(note, found) if found else []
    return [*letters, *(replace(note, entity=stored.key) for stored in drafts.blocked(conn, limit))]


def _dead_letters(conn: Connection, limit: int) -> tuple[Table, Table]:
    """What `radbridge dead` takes, under the same ids."""
    taken = Table("id", "received (UTC)", "from", "type", "bytes kept", "state", "reason")
    taken.title, taken.title_justify = "messages not taken in or not applied", "left"
    sent = Table("id", "accession", "to", "what", "state", "attempts", "answer")
    sent.title, sent.title_justify = "deliveries that ended without a yes", "left"
    for one in dead.everything(conn, limit):
        if one.is_message:
            add_row(taken, one.id, clock(one.at), one.where, one.kind, str(len(one.raw)), one.state, one.reason)
        else:
            add_row(sent, one.id, one.accession, one.where, one.kind, one.state, str(one.tries), one.reason)
    return taken, sent


def _blocked_drafts(conn: Connection, limit: int) -> Table:
    table = Table("draft", "accession", "made (UTC)", "lora", "reason")
    table.title, table.title_justify = "drafts of open cases that the guard kept back", "left"
    for stored in drafts.blocked(conn, limit):
        draft = stored.draft
        add_row(table, draft.id, stored.key.accession, clock(draft.made_at), draft.lora, stored.reason)
    return table
