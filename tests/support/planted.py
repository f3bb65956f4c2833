"""A journal with a row in every table, and a name planted in whatever may hold one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Connection, DateTime, LargeBinary, String, Table, select
from sqlalchemy.types import TypeDecorator

from radbridge.journal import audit
from radbridge.journal.backup import tables
from radbridge.journal.schema import metadata
from radbridge.journal.types import Sealed
from tests.support.trail import make_note

NAME = "ZYWICKA-PLANTED"
"""Made up; nothing else holds it."""
_MADE_OTHERWISE = ("audit_pending", "audit_event", "audit_anchor", "data_key")
_STATES = {
    "message": "done",
    "case": "signed",
    "draft": "withdrawn",
    "delivery": "confirmed",
    "edit": "kept",
    "memory": "kept",
    "subscription_event": "sent",
}
_HELD = {("message", "touches"), ("message", "reason"), ("delivery", "answer"), ("case", "patient_id")}
"""Columns of text that may hold what a peer said."""


def plant(conn: Connection, at: datetime) -> None:
    """One row in each table, of that time, and three events in the trail."""
    for table in metadata.sorted_tables:
        if table.name not in _MADE_OTHERWISE:
            given = [c for c in table.columns if c is not table.autoincrement_column]
            conn.execute(table.insert().values({c.name: _value(table, c, at) for c in given}))
    audit.note(conn, [make_note(n, at=at, patient=NAME) for n in range(3)])
    audit.chain_pending(conn)


def _value(table: Table, column: Column[Any], at: datetime) -> Any:
    kind = column.type
    if isinstance(kind, Sealed | LargeBinary):
        return f"PID|{NAME}".encode() if isinstance(kind, Sealed) and table.name != "secret" else b"x"
    inner = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    if isinstance(inner, String):
        return _word(table.name, column.name)
    return at if isinstance(inner, DateTime) else False if isinstance(inner, Boolean) else 1


def _word(table: str, column: str) -> str:
    if column == "state":
        return _STATES.get(table, "kept")
    if (table, column) in _HELD:
        return NAME
    if (table, column) == ("resource_index", "value"):
        return NAME.lower()
    return "X1" if column in {"accession", "type", "id", "draft_id"} else "x"


def dump(conn: Connection) -> str:
    """Everything that the tables hold, sealed values as they are stored."""
    found = []
    for table in tables():
        found += [f"{table.name} {tuple(row)}" for row in conn.execute(select(table))]
    return "\n".join(found)
