"""The time that all gateways on a journal agree on: its database's, where several share one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, String, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from radbridge.journal.types import Utc

NOW = func.timezone("utc", func.clock_timestamp(), type_=Utc())
"""For a statement on PostgreSQL."""


def now(conn: Connection) -> datetime:
    """The present time, of this machine on SQLite, where nobody else writes."""
    return datetime.now(UTC) if conn.dialect.name == "sqlite" else conn.execute(select(NOW)).scalar_one()


class SpelledTime(FunctionElement[str]):
    """A time as text that sorts as the time does, to the millisecond: `2026-03-01T12:00:00.000`."""

    type = String()
    inherit_cache = True


@compiles(SpelledTime, "sqlite")
def _spell_on_sqlite(element: SpelledTime, compiler: Any, **options: Any) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%f', {compiler.process(element.clauses, **options)})"


@compiles(SpelledTime, "postgresql")
def _spell_on_postgresql(element: SpelledTime, compiler: Any, **options: Any) -> str:
    return f"""to_char({compiler.process(element.clauses, **options)}, 'YYYY-MM-DD"T"HH24:MI:SS.MS')"""
