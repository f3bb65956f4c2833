"""The journal's tables. Migrations under `migrations/` bring a file here; a test holds both to the same shape."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, UniqueConstraint, false

from radbridge.journal.utc import Utc


class MessageState(StrEnum):
    """What became of a message that came in."""

    ACCEPTED = "accepted"
    """Committed and acknowledged, not yet applied."""
    DONE = "done"
    FAILED = "failed"
    """Acknowledged, but could not be applied: an operator has to look."""
    REJECTED = "rejected"
    """Never taken in: the peer was told so."""


class DeliveryState(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    """No longer wanted before it was ever sent, or by nobody at the other end."""
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


class MemoryState(StrEnum):
    """Whether a signed report is remembered."""

    WAITING = "waiting"
    """To be scrubbed; nothing of its text is kept yet."""
    KEPT = "kept"
    BARRED = "barred"
    """Never to be remembered: its text may name somebody whom the journal has no word of any more."""


class LoraAction(StrEnum):
    """What was done with a LoRA version."""

    PUBLISHED = "published"
    CHALLENGED = "challenged"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    WITHDRAWN = "withdrawn"
    """The challenger's trial ended without a promotion."""
    GATED = "gated"
    """A candidate failed the gate and was never published; the event's version is the owner."""
    MARKED = "marked"
    """It was trained on something that was withdrawn: to be trained anew."""


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

memory = Table(
    "memory",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("accession", String, nullable=False),
    Column("issuer", String, nullable=False),
    Column("signer", String, nullable=False),
    Column("state", String, nullable=False),
    Column("document", LargeBinary, nullable=False),  # de-identified; empty while it waits
    Column("signed_at", Utc, nullable=False),
    UniqueConstraint("accession", "issuer", name="memory_by_case"),
    Index("memory_by_signer", "signer", "state", "number"),
    Index("memory_by_state", "state", "number"),
    sqlite_autoincrement=True,  # a number is never used twice: it may be written down with a draft
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

lora_sources = Table(
    "lora_source",
    metadata,
    Column("version", String, primary_key=True),
    Column("accession", String, primary_key=True),
    Column("issuer", String, primary_key=True),
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

# FHIR: each stored version, the newest of each resource, and what it is found by.

resource_versions = Table(
    "resource_version",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("type", String, nullable=False),
    Column("id", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Utc, nullable=False),
    Column("method", String, nullable=False),  # POST, PUT: what history says
    Column("origin", String, nullable=False),  # peer, draft: what we made never comes back as a dictation
    Column("client", String, nullable=False),
    Column("document", LargeBinary, nullable=False),  # as it came, with our id and meta; never updated
    UniqueConstraint("type", "id", "version", name="resource_version_by_version"),
    sqlite_autoincrement=True,
)

resources = Table(
    "resource",
    metadata,
    Column("type", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", Utc, nullable=False),
    Column("origin", String, nullable=False),
    Index("resource_by_time", "type", "at", "id"),
    Index("resource_by_seq", "type", "seq"),
)

resource_index = Table(
    "resource_index",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("type", String, nullable=False),
    Column("id", String, nullable=False),
    Column("param", String, nullable=False),
    Column("system", String, nullable=False),
    Column("value", String, nullable=False),  # `Patient/12` for a reference; strings folded
    Column("low", Utc, nullable=True),
    Column("high", Utc, nullable=True),
    Index("resource_index_by_value", "type", "param", "value", "system"),
    Index("resource_index_by_low", "type", "param", "low"),
    Index("resource_index_by_resource", "type", "id"),
)

subscription_events = Table(
    "subscription_event",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("subscription_id", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("version_seq", Integer, nullable=False),  # the version that it is about
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Utc, nullable=False),
    Index("subscription_event_by_work", "subscription_id", "state", "number"),
)

fhir_jobs = Table(
    "fhir_job",
    metadata,
    Column("id", String, primary_key=True),
    Column("accession", String, nullable=False),
    Column("issuer", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("client", String, nullable=False),
    Column("created_at", Utc, nullable=False),
)

token_jtis = Table(
    "token_jti",
    metadata,
    Column("issuer", String, primary_key=True),
    Column("jti", String, primary_key=True),
    Column("expires_at", Utc, nullable=False),
    Index("token_jti_by_expiry", "expires_at"),
)

cds_cards = Table(
    "cds_card",
    metadata,
    Column("uuid", String, primary_key=True),
    Column("draft_id", String, nullable=False),
    Column("at", Utc, nullable=False),
)

draft_feedback = Table(
    "draft_feedback",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("draft_id", String, nullable=False),
    Column("source", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("reason_code", String, nullable=False),
    Column("at", Utc, nullable=False),
    Index("draft_feedback_by_draft", "draft_id"),
)

fhircast_contexts = Table(
    "fhircast_context",
    metadata,
    Column("hub", String, primary_key=True),
    Column("topic_digest", String, primary_key=True),  # the topic itself is a secret
    Column("anchor_type", String, nullable=False),
    Column("anchor_id", String, nullable=False),
    Column("version_id", String, nullable=False),
    Column("accession", String, nullable=False),
    Column("issuer", String, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("updated_at", Utc, nullable=False),
)

# DICOM: what is known of each object, which accession a study belongs to, what waits for that, procedure steps.

dicom_instances = Table(
    "dicom_instance",
    metadata,
    Column("sop_uid", String, primary_key=True),
    Column("class_uid", String, nullable=False),
    Column("study_uid", String, nullable=False),
    Column("series_uid", String, nullable=False),
    Column("accession", String, nullable=False),
    Column("issuer", String, nullable=False),
    Column("context", String, nullable=False),  # digest of what it says of its study: equal, nothing new
    Column("peer", String, nullable=False),
    Column("received_at", Utc, nullable=False),
    Index("dicom_instance_by_study", "study_uid", "context"),
    sqlite_with_rowid=False,
)

dicom_studies = Table(
    "dicom_study",
    metadata,
    Column("study_uid", String, primary_key=True),
    Column("accession", String, primary_key=True),
    Column("issuer", String, primary_key=True),
)

dicom_waiting = Table(
    "dicom_waiting",
    metadata,
    Column("study_uid", String, primary_key=True),
    Column("message_id", Integer, primary_key=True, autoincrement=False),
    Index("dicom_waiting_by_message", "message_id"),
)

dicom_steps = Table(
    "dicom_step",
    metadata,
    Column("sop_uid", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("attributes", LargeBinary, nullable=False),
    Column("updated_at", Utc, nullable=False),
)
