"""FHIR resources with their versions, subscriptions, tokens seen, cards and feedback, FHIRcast contexts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; nothing that is there changes."""
    _make_resources()
    _make_work()
    _make_talk()


def _make_resources() -> None:
    op.create_table(
        "resource_version",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("type", "id", "version", name="resource_version_by_version"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "resource",
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("type", "id"),
    )
    op.create_index("resource_by_time", "resource", ["type", "at", "id"], unique=False)
    op.create_index("resource_by_seq", "resource", ["type", "seq"], unique=False)
    op.create_table(
        "resource_index",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("param", sa.String(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("low", sa.DateTime(), nullable=True),
        sa.Column("high", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("resource_index_by_value", "resource_index", ["type", "param", "value", "system"], unique=False)
    op.create_index("resource_index_by_low", "resource_index", ["type", "param", "low"], unique=False)
    op.create_index("resource_index_by_resource", "resource_index", ["type", "id"], unique=False)


def _make_work() -> None:
    op.create_table(
        "subscription_event",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("subscription_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version_seq", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index(
        "subscription_event_by_work", "subscription_event", ["subscription_id", "state", "number"], unique=False
    )
    op.create_table(
        "fhir_job",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("accession", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "token_jti",
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("jti", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "jti"),
    )
    op.create_index("token_jti_by_expiry", "token_jti", ["expires_at"], unique=False)


def _make_talk() -> None:
    op.create_table(
        "cds_card",
        sa.Column("uuid", sa.String(), nullable=False),
        sa.Column("draft_id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("uuid"),
    )
    op.create_table(
        "draft_feedback",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("draft_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason_code", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("draft_feedback_by_draft", "draft_feedback", ["draft_id"], unique=False)
    op.create_table(
        "fhircast_context",
        sa.Column("hub", sa.String(), nullable=False),
        sa.Column("topic_digest", sa.String(), nullable=False),
        sa.Column("anchor_type", sa.String(), nullable=False),
        sa.Column("anchor_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("accession", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("hub", "topic_digest"),
    )
