"""What the database says in the end, by SQL and nothing else, as plain rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Row = dict[str, Any]
Tables = dict[str, list[Row]]
Query = Callable[[str], list[Row]]

WANTED = {
    "message": "SELECT id, digest, sender_key, accession, state, reason FROM message "
    "WHERE state <> 'rejected' ORDER BY id",
    "case": 'SELECT accession, state, document FROM "case"',
    "draft": "SELECT seq, id, accession, findings_digest, state, document FROM draft ORDER BY seq",
    "delivery": "SELECT seq, control_id, destination, purpose, accession, draft_id, payload, state, attempts, answer, "
    "created_at FROM delivery ORDER BY seq",
    "draft_request": "SELECT accession FROM draft_request",
}
LATER = {
    "audit_event": "SELECT seq, at, what, entity, document, prev, hash FROM audit_event ORDER BY seq",
    "audit_pending": "SELECT seq FROM audit_pending",
}
"""Tables that an older journal lacks."""


@contextmanager
def connected(url: str) -> Iterator[Query]:
    """A way to ask the database at `url`: `sqlite:///file` or `postgresql+psycopg://…`."""
    if url.startswith("sqlite:///"):
        conn = sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True, timeout=30)
        conn.row_factory = sqlite3.Row
        try:
            yield lambda sql: [dict(row) for row in conn.execute(sql)]
        finally:
            conn.close()
        return
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True, row_factory=dict_row) as there:
        yield lambda sql: list(there.execute(sql).fetchall())


def read_tables(url: str) -> Tables:
    """Every row that the checker looks at, with what it needs of the documents."""
    with connected(url) as ask:
        found = {name: ask(sql) for name, sql in WANTED.items()}
        names = _names(ask, url)
        found |= {name: ask(sql) for name, sql in LATER.items() if name in names}
    for row in found["case"]:
        row["findings"] = json.loads(row.pop("document")).get("report", {}).get("findings", "")
    for row in found["draft"]:
        row["text"] = json.loads(row.pop("document")).get("text", "")
    return found


def _names(ask: Query, url: str) -> set[str]:
    if url.startswith("sqlite"):
        return {row["name"] for row in ask("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {row["tablename"] for row in ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


WAITING = {
    "messages": "SELECT count(*) AS n FROM message WHERE state = 'accepted'",
    "requests": "SELECT count(*) AS n FROM draft_request",
    "deliveries": "SELECT count(*) AS n FROM delivery WHERE state = 'pending'",
}

UNCHAINED = "SELECT count(*) AS n FROM audit_pending"


def count_waiting(url: str) -> dict[str, int]:
    """How much is still to be done."""
    with connected(url) as ask:
        wanted = WAITING | ({"notes": UNCHAINED} if "audit_pending" in _names(ask, url) else {})
        return {name: int(ask(sql)[0]["n"]) for name, sql in wanted.items()}


def unowned_leases(url: str) -> list[str]:
    """The leases that nobody holds at this moment. A gateway on SQLite is alone and has none."""
    if url.startswith("sqlite"):
        return []
    with connected(url) as ask:
        if "lease" not in _names(ask, url):
            return []
        return [
            row["name"]
            for row in ask("SELECT name FROM lease WHERE owner = '' OR until < timezone('utc', now()) ORDER BY name")
        ]
