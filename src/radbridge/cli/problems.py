"""`radbridge problems`: what waits for a person."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import Connection, select

from radbridge.audit import Note, What
from radbridge.cli.common import ConfigOption, add_row, clock, noted, out, reading, site_of, told
from radbridge.journal import dead, drafts
from radbridge.journal.schema import DeliveryState, MessageState, deliveries, messages


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
            tables = (_bad_messages(conn, limit), _bad_deliveries(conn, limit), _blocked_drafts(conn, limit))
    for table in tables:
        out.print(table if table.row_count else f"no {table.title}")


def _seen(conn: Connection, limit: int) -> list[Note]:
    """The cases and patients of what is listed."""
    note, found = noted(What.VIEWED, "problems"), dead.everything(conn, limit)
    letters = dead.noted(note, found) if found else []
    return [*letters, *(replace(note, entity=stored.key) for stored in drafts.blocked(conn, limit))]


def _bad_messages(conn: Connection, limit: int) -> Table:
    table = Table("id", "received (UTC)", "from", "type", "bytes", "state", "reason")
    table.title, table.title_justify = "messages not taken in or not applied", "left"
    bad = (MessageState.REJECTED, MessageState.FAILED, MessageState.QUARANTINED)
    query = select(messages).where(messages.c.state.in_(bad)).order_by(messages.c.id.desc()).limit(limit)
    for row in conn.execute(query):
        add_row(table, str(row.id), clock(row.received_at), row.peer, row.kind, str(row.size), row.state, row.reason)
    return table


def _bad_deliveries(conn: Connection, limit: int) -> Table:
    table = Table("control id", "accession", "to", "what", "state", "attempts", "answer")
    table.title, table.title_justify = "deliveries that ended without a yes", "left"
    bad = (DeliveryState.DEAD, DeliveryState.REFUSED)
    query = select(deliveries).where(deliveries.c.state.in_(bad)).order_by(deliveries.c.seq.desc()).limit(limit)
    for row in conn.execute(query):
        add_row(
            table, row.control_id, row.accession, row.destination, row.purpose, row.state, str(row.attempts), row.answer
        )
    return table


def _blocked_drafts(conn: Connection, limit: int) -> Table:
    table = Table("draft", "accession", "made (UTC)", "lora", "reason")
    table.title, table.title_justify = "drafts of open cases that the guard kept back", "left"
    for stored in drafts.blocked(conn, limit):
        draft = stored.draft
        add_row(table, draft.id, stored.key.accession, clock(draft.made_at), draft.lora, stored.reason)
    return table
