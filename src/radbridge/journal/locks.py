"""Locks for operations that read before they write, where more than one gateway may write.

    hold(conn, Lock.CASE, [key.accession])      before the first read; let go at the end of the transaction

On SQLite there is one writer, so nothing has to be held.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import Connection, text

from radbridge.journal.types import clean


class Lock(StrEnum):
    """What is held. Each kind's names are apart from the others'."""

    CASE = "case"
    """By accession: a case, its request, drafts, deliveries."""
    STUDY = "study"
    """By Study Instance UID, and by the SOP Instance UID of a procedure step."""
    FHIR = "fhir"
    """Numbers of versions and notifications; one name, empty."""
    SEQUENCE = "sequence"
    """By sender: the number that is expected next (HL7 v2.5.1, 2.10.1)."""
    ACCOUNT = "account"
    """By name: somebody from an OpenID provider who comes for the first time."""
    WITHDRAWAL = "withdrawal"
    """Who may not be learned from; one name, empty. Shared by those who only ask."""
    AUDIT = "audit"
    """The audit trail's chain; one name, empty."""
    KEYS = "keys"
    """The keys that documents are sealed with; one name, empty."""
    LIFE = "life"
    """By a gateway's id: its listening session holds it for as long as its process lives, standing still or not."""


def hold(conn: Connection, lock: Lock, names: Iterable[str], *, shared: bool = False) -> None:
    """Hold locks until the transaction ends, in one order for all, so that two of them never wait for each other.

    Any number may hold one `shared`, unless somebody holds it alone.
    """
    if conn.dialect.name == "sqlite":
        return
    wanted = sorted({clean(f"{lock}:{name}") for name in names})
    if wanted:
        conn.exec_driver_sql(_SHARE if shared else _HOLD, (wanted,))


def sign_of_life(id: str) -> str:
    """The name of the lock that a gateway's session holds; shared, for its last session may not have ended yet."""
    return f"{Lock.LIFE}:{id}"


def is_gone(conn: Connection, id: str) -> bool:
    """Whether the process of a gateway has ended, or lost the database: nobody holds its sign of life."""
    return bool(conn.execute(_TRY, {"name": sign_of_life(id)}).scalar_one())


SHOW_LIFE = "SELECT pg_advisory_lock_shared(hashtextextended(%s, 0))"
"""For a session of its own, outside a transaction."""
_TRY = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
_HOLD = "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(%s::text[]) t(name)"
_SHARE = _HOLD.replace("xact_lock", "xact_lock_shared")
"""Row by row in the order of the list, which is sorted."""
