"""Secrets of a site that have to outlive a process."""

from __future__ import annotations

import secrets as random
from collections.abc import Sequence

from sqlalchemy import Connection, LargeBinary, select, type_coerce, update

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


def set_aside(conn: Connection, key: int) -> int:
    """Call those otherwise that nobody can read any more, for the key was given up: new ones are made. How many."""
    stored = select(secrets.c.name, type_coerce(secrets.c.value, LargeBinary).label("stored"))
    sealed = [row.name for row in conn.execute(stored) if key_of(bytes(row.stored)) == key and row.name != SANDBOX]
    lost = [name for name in sealed if not name.endswith(_aside(key))]
    for name in lost:
        _rename(conn, name, name + _aside(key))
    return len(lost)


def put_back(conn: Connection, key: int) -> int:
    """The key is there after all: those that were set aside count again, where no others were made since. How many."""
    names = set(conn.execute(select(secrets.c.name)).scalars())
    found = [name.removesuffix(_aside(key)) for name in names if name.endswith(_aside(key))]
    back = [name for name in found if name not in names]
    for name in back:
        _rename(conn, name + _aside(key), name)
    return len(back)


def _aside(key: int) -> str:
    return f" of key {key}"


def _rename(conn: Connection, old: str, new: str) -> None:
    conn.execute(update(secrets).where(secrets.c.name == old).values(name=new))


def read(conn: Connection, name: str) -> bytes:
    """A secret that `make` has made."""
    value: bytes = conn.execute(select(secrets.c.value).where(secrets.c.name == name)).scalar_one()
    return value
