"""Sealing what is stored already: all of it, none of it, or under another key; some hundred rows in a transaction.

A row is only changed if it still holds what was read, so that a gateway may write meanwhile; what it writes is sealed
as it should be anyway. A run that was broken off is begun again, and skips what is done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Connection, LargeBinary, Table, bindparam, func, select, tuple_, type_coerce, update
from sqlalchemy.engine import make_url

from radbridge.audit import Note
from radbridge.errors import JournalError, SealError
from radbridge.journal import audit, keys, sealing
from radbridge.journal.schema import audit_pending, metadata
from radbridge.journal.sealing import MARK, SEALED
from radbridge.journal.types import Sealed

AT_ONCE = 500


class Mode(StrEnum):
    """What is wanted of every sealed column."""

    SEALED = "sealed"
    PLAIN = "plain"
    NEWEST = "newest"
    """Sealed with the key that new values get."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A sealed column."""

    table: Table
    column: Column[Any]

    @property
    def name(self) -> str:
        """`table.column`."""
        return f"{self.table.name}.{self.column.name}"

    @property
    def stored(self) -> Any:
        """Its bytes as they are stored."""
        return type_coerce(self.column, LargeBinary)


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What one transaction did."""

    changed: int
    last: tuple[Any, ...] | None
    """The key of the last row that was looked at; None: there is no more."""


def places() -> Iterator[Place]:
    """Every sealed column."""
    for table in metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, Sealed):
                yield Place(table=table, column=column)


def count_keys(conn: Connection) -> dict[int, int]:
    """Key number -> values sealed with it; 0 counts the ones that are plain. Reads every sealed column."""
    counts: dict[int, int] = {}
    for place in places():
        head = func.substr(place.stored, 1, len(SEALED) + 4, type_=LargeBinary)
        query = select(head.label("head"), func.count().label("rows")).where(place.stored != b"")
        is_sealed = func.substr(place.stored, 1, len(SEALED), type_=LargeBinary) == SEALED
        for row in conn.execute(query.where(is_sealed).group_by(head)):
            number = sealing.key_of(bytes(row.head))
            counts[number] = counts.get(number, 0) + row.rows
        counts[0] = (
            counts.get(0, 0)
            + conn.execute(
                select(func.count()).select_from(place.table).where(place.stored != b"", ~is_sealed)
            ).scalar_one()
        )
    return counts


def reseal_some(
    conn: Connection, place: Place, mode: Mode, *, after: tuple[Any, ...] | None = None, at_most: int = AT_ONCE
) -> Done:
    """Bring the next rows of a column to what is wanted."""
    names = list(place.table.primary_key.columns)
    query = select(*names, place.stored.label("stored")).order_by(*names).limit(at_most)
    if after is not None:
        query = query.where(
            tuple_(*names)
            > tuple_(*(bindparam(f"after_{c.name}", v, c.type) for c, v in zip(names, after, strict=True)))
        )
    rows = conn.execute(query).all()
    newest, lost = (_newest(conn, place), keys.lost(conn)) if mode is Mode.NEWEST else (0, frozenset[int]())
    changes = []
    for row in rows:
        old = bytes(row.stored or b"")
        if old and _is_wanted(old, mode, newest, lost):
            changes.append(
                dict(zip((f"of_{c.name}" for c in names), row[:-1], strict=True))
                | {"old": old, "new": _turn(conn, place, mode, old)}
            )
    if changes:
        audit.allow_purge(conn)
        conn.execute(_update(place, names), changes)
    return Done(changed=len(changes), last=tuple(rows[-1][:-1]) if len(rows) == at_most else None)


def end_sealing(conn: Connection, last: Note) -> None:
    """Forget the keys, once everything else is plain; `last` says so in the trail.

    Raises SealError when another command has sealed something since: what the keys sealed opens with nothing else.
    """
    keys.lock(conn)
    if conn.dialect.name == "postgresql":
        names = ", ".join(f'"{name}"' for name in sorted({place.table.name for place in places()}))
        conn.exec_driver_sql("SET LOCAL statement_timeout = 0")
        conn.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
    audit.note(conn, [last])  # sealed like what other commands have noted meanwhile, and opened with it
    for place in places():
        after = None
        while place.table is audit_pending:
            if (after := reseal_some(conn, place, Mode.PLAIN, after=after).last) is None:
                break
    if any(count_keys(conn).keys() - {0}):
        raise SealError("something was sealed meanwhile: run it again while no other command runs")
    keys.drop_all(conn)


def compact(url: str) -> None:
    """Write SQLite's file anew: its free room may hold what was plain. PostgreSQL's VACUUM does it there.

    Raises JournalError.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        try:
            with closing(sqlite3.connect(parsed.database, timeout=30.0)) as file:
                file.execute("VACUUM")
        except sqlite3.Error as error:
            raise JournalError(
                f"the journal's file can't be written anew ({error}): make room and run it again"
            ) from None


def _update(place: Place, names: list[Column[Any]]) -> Any:
    same = [column == bindparam(f"of_{column.name}", type_=column.type) for column in names]
    unchanged = place.stored == bindparam("old", type_=LargeBinary())
    new = bindparam("new", type_=LargeBinary())
    return update(place.table).where(*same, unchanged).values({place.column.name: new})


def _is_wanted(old: bytes, mode: Mode, newest: int, lost: frozenset[int]) -> bool:
    is_sealed = old.startswith(SEALED)
    if mode is Mode.SEALED:
        return not is_sealed
    if mode is Mode.PLAIN:
        return is_sealed
    return is_sealed and sealing.key_of(old) != newest and sealing.key_of(old) not in lost


def _turn(conn: Connection, place: Place, mode: Mode, old: bytes) -> bytes:
    value = sealing.unseal(conn.dialect, old, place.name)
    return sealing.escape(value) if mode is Mode.PLAIN else sealing.seal(conn.dialect, value, place.name)


def _newest(conn: Connection, place: Place) -> int:
    """The key that new values get: what a value sealed now says."""
    return sealing.key_of(sealing.seal(conn.dialect, MARK, place.name))
