"""FHIR: each stored version, the newest of each resource, what it is found by; cards and sessions."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, UniqueConstraint

from radbridge.journal.tables.base import metadata
from radbridge.journal.types import Key, Sealed, Utc, Words

resource_versions = Table(
    "resource_version",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=True),
    Column("type", String, nullable=False),
    Column("id", Words, nullable=False),
    Column("version", Key, nullable=False),
    Column("at", Utc, nullable=False),
    Column("method", String, nullable=False),  # POST, PUT: what history says
    Column("origin", String, nullable=False),  # peer, draft: what we made never comes back as a dictation
    Column("client", Words, nullable=False),
    Column(
        "document", Sealed("resource_version.document"), nullable=False
    ),  # as it came, with our id and meta; never updated
    UniqueConstraint("type", "id", "version", name="resource_version_by_version"),
    sqlite_autoincrement=True,
)

resources = Table(
    "resource",
    metadata,
    Column("type", String, primary_key=True),
    Column("id", Words, primary_key=True),
    Column("version", Key, nullable=False),
    Column("seq", Key, nullable=False),
    Column("at", Utc, nullable=False),
    Column("origin", String, nullable=False),
    Index("resource_by_time", "type", "at", "id"),
    Index("resource_by_seq", "type", "seq"),
)

resource_index = Table(
    "resource_index",
    metadata,
    Column("seq", Key, primary_key=True),
    Column("type", String, nullable=False),
    Column("id", Words, nullable=False),
    Column("param", String, nullable=False),
    Column("system", Words, nullable=False),
    Column("value", Words, nullable=False),  # `Patient/12` for a reference; strings folded
    Column("low", Utc, nullable=True),
    Column("high", Utc, nullable=True),
    Index("resource_index_by_value", "type", "param", "value", "system"),
    Index("resource_index_by_low", "type", "param", "low"),
    Index("resource_index_by_resource", "type", "id"),
)

subscription_events = Table(
    "subscription_event",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=True),
    Column("subscription_id", Words, nullable=False),
    Column("number", Key, nullable=False),
    Column("version_seq", Key, nullable=False),  # the version that it is about
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Utc, nullable=False),
    Index("subscription_event_by_work", "subscription_id", "state", "number"),
)

fhir_jobs = Table(
    "fhir_job",
    metadata,
    Column("id", Words, primary_key=True),
    Column("accession", Words, nullable=False),
    Column("issuer", Words, nullable=False),
    Column("digest", String, nullable=False),
    Column("client", Words, nullable=False),
    Column("created_at", Utc, nullable=False),
)

token_jtis = Table(
    "token_jti",
    metadata,
    Column("issuer", Words, primary_key=True),
    Column("jti", Words, primary_key=True),
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
    Column("seq", Key, primary_key=True, autoincrement=True),
    Column("draft_id", String, nullable=False),
    Column("source", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("reason_code", Words, nullable=False),
    Column("at", Utc, nullable=False),
    Index("draft_feedback_by_draft", "draft_id"),
)

fhircast_contexts = Table(
    "fhircast_context",
    metadata,
    Column("hub", String, primary_key=True),
    Column("topic_digest", String, primary_key=True),  # the topic itself is a secret
    Column("anchor_type", Words, nullable=False),
    Column("anchor_id", Words, nullable=False),
    Column("version_id", Words, nullable=False),
    Column("accession", Words, nullable=False),
    Column("issuer", Words, nullable=False),
    Column("document", Sealed("fhircast_context.document"), nullable=False),
    Column("updated_at", Utc, nullable=False),
)
