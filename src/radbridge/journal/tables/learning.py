"""What is learned from: edits, the style memory, LoRA versions and what they were trained on, withdrawals."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, UniqueConstraint

from radbridge.journal.tables.base import metadata
from radbridge.journal.types import Key, Sealed, Utc, Words

edits = Table(
    "edit",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=True),
    Column("draft_id", String, nullable=False, unique=True),
    Column("issuer", Words, nullable=False),
    Column("accession", Words, nullable=False),
    Column("state", String, nullable=False),
    Column("document", Sealed("edit.document"), nullable=False),
    Column("signed_at", Utc, nullable=False),
    Index("edit_by_case", "accession", "issuer"),
)

memory = Table(
    "memory",
    metadata,
    Column("number", Key, primary_key=True, autoincrement=True),
    Column("accession", Words, nullable=False),
    Column("issuer", Words, nullable=False),
    Column("signer", Words, nullable=False),
    Column("state", String, nullable=False),
    Column("document", Sealed("memory.document"), nullable=False),  # de-identified; empty while it waits
    Column("signed_at", Utc, nullable=False),
    UniqueConstraint("accession", "issuer", name="memory_by_case"),
    Index("memory_by_signer", "signer", "state", "number"),
    Index("memory_by_state", "state", "number"),
    sqlite_autoincrement=True,  # a number is never used twice: it may be written down with a draft
)

lora_events = Table(
    "lora_event",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False),
    Column("owner", String, nullable=False),
    Column("version", String, nullable=False),
    Column("action", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", String, nullable=False),
    Index("lora_event_by_owner", "owner", "seq"),
)

lora_sources = Table(
    "lora_source",
    metadata,
    Column("version", String, primary_key=True),
    Column("accession", Words, primary_key=True),
    Column("issuer", Words, primary_key=True),
    Index("lora_source_by_case", "accession", "issuer"),
    sqlite_with_rowid=False,
)

withdrawals = Table(
    "withdrawal",
    metadata,
    Column("kind", String, primary_key=True),
    Column("reference", String, primary_key=True),  # under the site's secret: who it is stands nowhere
    Column("at", Utc, nullable=False),
    Column("actor", String, nullable=False),
)
