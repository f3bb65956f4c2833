"""Assertions that were used: each counts once, over restarts too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete

from radbridge.journal.schema import token_jtis
from radbridge.journal.upsert import insert
from radbridge_adapters.security.assertion import Assertion


def spend(conn: Connection, assertions: Sequence[Assertion]) -> list[bool]:
    """Whether each is new; from now on it isn't. Those that expired are forgotten."""
    conn.execute(delete(token_jtis).where(token_jtis.c.expires_at < datetime.now(UTC)))
    return [_is_new(conn, assertion) for assertion in assertions]


def _is_new(conn: Connection, assertion: Assertion) -> bool:
    row = {"issuer": assertion.issuer, "jti": assertion.jti, "expires_at": assertion.expires_at}
    adding = insert(token_jtis).on_conflict_do_nothing().returning(token_jtis.c.jti)
    return conn.execute(adding, row).first() is not None
