"""The audit trail, and the keys that documents are sealed with."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table

from radbridge.journal.tables.base import metadata
from radbridge.journal.types import Key, Sealed, Utc, Words

audit_pending = Table(
    "audit_pending",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False),
    Column("document", Sealed("audit_pending.document"), nullable=False),
    sqlite_autoincrement=True,
)

audit_events = Table(
    "audit_event",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=False),  # without gaps: whoever chains them gives it
    Column("at", Utc, nullable=False),
    Column("what", String, nullable=False),
    Column("actor", Words, nullable=False),
    Column("entity", Words, nullable=False),
    Column("document", Sealed("audit_event.document"), nullable=False),
    Column("prev", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("patient", Words, nullable=True),  # NULL: chained before 0010, and only its document knows
    Index("audit_event_by_entity", "entity"),
    Index("audit_event_by_time", "at"),
    Index("audit_event_by_patient", "patient"),
)

audit_anchors = Table(
    "audit_anchor",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    Column("at", Utc, nullable=False),
    Column("reason", Words, nullable=False),
)

data_keys = Table(
    "data_key",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("kek", Words, nullable=False),
    Column("seals", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Utc, nullable=False),
    Column("retired_at", Utc, nullable=True),
    Column("lost_at", Utc, nullable=True),  # since when somebody says that nothing opens what it sealed
)
