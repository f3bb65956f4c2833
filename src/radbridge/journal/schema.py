"""The journal's tables. Migrations under `migrations/` bring a file here; a test holds both to the same shape."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    false,
)


class MessageState(StrEnum):
    """What became of a message that came in."""

    ACCEPTED = "accepted"
    """Committed and acknowledged, not yet applied."""
    DONE = "done"
    FAILED = "failed"
    """Acknowledged, but could not be applied: an operator has to look."""
    REJECTED = "rejected"
    """Never taken in: the peer was told so."""


class DraftState(StrEnum):
    """What became of a draft."""

    CURRENT = "current"
    STALE = "stale"
    """Made for a text that had changed meanwhile: never delivered."""
    WITHDRAWN = "withdrawn"
    SIGNED = "signed"
    """Its report was signed."""
    BLOCKED = "blocked"
    """The guard kept it back: never delivered; `reason` and its flags say why."""
    NONE = "none"
    """No draft could be made; `reason` says why."""


class DeliveryState(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    """No longer wanted before it was ever sent."""
    REFUSED = "refused"
    """The destination said no for good."""
    DEAD = "dead"
    """Out of attempts."""


class Purpose(StrEnum):
    """What a delivery is for."""

    DRAFT = "draft"
    WITHDRAWAL = "withdrawal"


class EditState(StrEnum):
    """Whether an edit may become a training example."""

    KEPT = "kept"
    DROPPED = "dropped"


class LoraAction(StrEnum):
    """What was done with a LoRA version."""

    PUBLISHED = "published"
    CHALLENGED = "challenged"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    WITHDRAWN = "withdrawn"
    """The challenger's trial ended without a promotion."""


class Utc(TypeDecorator[datetime]):
    """An aware time, stored in UTC."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware to naive UTC; a naive time is a programming error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Naive UTC to aware."""
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData()

messages = Table(
    "message",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("received_at", Utc, nullable=False),
    Column("wire", String, nullable=False),
    Column("peer", String, nullable=False),
    Column("sender_key", String, nullable=False),  # sender and control id: what duplicates are told by
    Column("digest", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("accession", String, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("ack", LargeBinary, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
    Column("reused_id", Boolean, nullable=False, default=False),  # same control id, other bytes
    Index("message_by_sender_key", "sender_key"),
    Index("message_by_accession", "accession"),
    Index("message_by_state", "state", "id"),
    sqlite_autoincrement=True,
)

cases = Table(
    "case",
    metadata,
    Column("accession", String, primary_key=True),  # first: it is looked for without its issuer too
    Column("issuer", String, primary_key=True),
    Column("patient_id", String, nullable=False),
    Column("patient_issuer", String, nullable=False),
    Column("state", String, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("updated_at", Utc, nullable=False),
    Index("case_by_patient", "patient_id"),
    Index("case_by_update", "updated_at"),
)

draft_requests = Table(
    "draft_request",
    metadata,
    Column("accession", String, primary_key=True),  # first: it is looked for without its issuer too
    Column("issuer", String, primary_key=True),
    Column("revision", String, nullable=False),  # changes with every new text: an older answer is known as stale
    Column("requested_at", Utc, nullable=False),
    Column("ready_at", Utc, nullable=False),
    Column("urgent", Boolean, nullable=False, server_default=false()),  # a critical finding: goes before the others
    Index("draft_request_by_work", "urgent", "ready_at"),
)

drafts = Table(
    "draft",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("issuer", String, nullable=False),
    Column("accession", String, nullable=False),
    Column("findings_digest", String, nullable=False),
    Column("signer", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
    Column("document", LargeBinary, nullable=False),
    Column("made_at", Utc, nullable=False),
    Index("draft_by_case", "accession", "issuer"),
    Index("draft_by_state", "state", "seq"),
)

deliveries = Table(
    "delivery",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("control_id", String, nullable=False, unique=True),
    Column("destination", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("issuer", String, nullable=False),
    Column("accession", String, nullable=False),
    Column("draft_id", String, nullable=False),
    Column("payload", LargeBinary, nullable=False, default=b""),  # composed before the first send, then never changed
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Utc, nullable=False),
    Column("answer", String, nullable=False, default=""),
    Column("created_at", Utc, nullable=False),
    Column("confirmed_at", Utc, nullable=True),
    Column("urgent", Boolean, nullable=False, server_default=false()),
    Index("delivery_by_work", "state", "destination", "urgent", "next_at", "seq"),
    Index("delivery_by_draft", "draft_id"),
    Index("delivery_by_case", "accession", "issuer"),
)

secrets = Table(
    "secret",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

edits = Table(
    "edit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("draft_id", String, nullable=False, unique=True),
    Column("issuer", String, nullable=False),
    Column("accession", String, nullable=False),
    Column("state", String, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("signed_at", Utc, nullable=False),
    Index("edit_by_case", "accession", "issuer"),
)

lora_events = Table(
    "lora_event",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False),
    Column("owner", String, nullable=False),
    Column("version", String, nullable=False),
    Column("action", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", String, nullable=False),
    Index("lora_event_by_owner", "owner", "seq"),
)
