"""When what is done again and again was last done to its end: a row by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, select

from radbridge.journal.schema import cursors
from radbridge.journal.upsert import insert

PURGE = "purge"
"""The daily purge."""

_BEGIN = insert(cursors).on_conflict_do_nothing(index_elements=["name"])
_DONE = insert(cursors).on_conflict_do_update(index_elements=["name"], set_={"at": insert(cursors).excluded.at})


def begin(conn: Connection, name: str) -> None:
    """It is to be done from now on; no more, where that is known."""
    conn.execute(_BEGIN, {"name": name, "seq": 0, "at": datetime.now(UTC)})


def done(conn: Connection, name: str) -> None:
    """It was done just now."""
    conn.execute(_DONE, {"name": name, "seq": 0, "at": datetime.now(UTC)})


def forget(conn: Connection, names: Sequence[str]) -> list[None]:
    """Nobody means to do them any more: whoever does so again begins then, and isn't late."""
    conn.execute(delete(cursors).where(cursors.c.name.in_(names)))
    return [None] * len(names)


def last(conn: Connection, name: str) -> datetime | None:
    """When it was done, or began; None where nobody ever meant to."""
    found: datetime | None = conn.execute(select(cursors.c.at).where(cursors.c.name == name)).scalar()
    return found
