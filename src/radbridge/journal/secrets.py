"""Secrets of a site that have to outlive a process."""

from __future__ import annotations

import secrets as random
from collections.abc import Sequence

from sqlalchemy import Connection, LargeBinary, delete, select, type_coerce

from radbridge.errors import ConfigError
from radbridge.journal.schema import secrets
from radbridge.journal.sealing import key_of
from radbridge.journal.upsert import insert

PSEUDONYMS = "pseudonyms"
"""The key of date shifts and pseudonyms: with the same key two exports move a patient's dates alike."""
CASES = "cases"
"""The key of the names that the model server gets of cases."""
SANDBOX = "sandbox"
"""Made in the journal of a replay, so that no gateway ever works on it."""
_BYTES = 32


def make(conn: Connection, names: Sequence[str]) -> list[None]:
    """Make the secrets that aren't there yet."""
    rows = [{"name": name, "value": random.token_bytes(_BYTES)} for name in names]
    conn.execute(insert(secrets).on_conflict_do_nothing(), rows)
    return [None] * len(names)


def refuse_sandbox(conn: Connection) -> None:
    """Raise ConfigError for the journal of a replay."""
    if conn.execute(select(secrets.c.name).where(secrets.c.name == SANDBOX)).first() is not None:
        raise ConfigError(["store.url: this journal is a replay's; a gateway would send its drafts once more"])


def drop_sealed(conn: Connection, key: int) -> int:
    """Forget those that nobody can read any more, for the key was given up: new ones are made. How many."""
    stored = select(secrets.c.name, type_coerce(secrets.c.value, LargeBinary).label("stored"))
    lost = [row.name for row in conn.execute(stored) if key_of(bytes(row.stored)) == key and row.name != SANDBOX]
    conn.execute(delete(secrets).where(secrets.c.name.in_(lost)))
    return len(lost)


def read(conn: Connection, name: str) -> bytes:
    """A secret that `make` has made."""
    value: bytes = conn.execute(select(secrets.c.value).where(secrets.c.name == name)).scalar_one()
    return value
