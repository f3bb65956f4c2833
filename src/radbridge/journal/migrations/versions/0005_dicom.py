"""DICOM objects, the accessions of studies, messages that wait for one, procedure steps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; nothing that is there changes."""
    op.create_table(
        "dicom_instance",
        sa.Column("sop_uid", sa.String(), nullable=False),
        sa.Column("class_uid", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("series_uid", sa.String(), nullable=False),
        sa.Column("accession", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("context", sa.String(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sop_uid"),
        sqlite_with_rowid=False,
    )
    op.create_index("dicom_instance_by_study", "dicom_instance", ["study_uid", "context"], unique=False)
    op.create_table(
        "dicom_study",
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("accession", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", "accession", "issuer"),
    )
    op.create_table(
        "dicom_waiting",
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("message_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("study_uid", "message_id"),
    )
    op.create_index("dicom_waiting_by_message", "dicom_waiting", ["message_id"], unique=False)
    op.create_table(
        "dicom_step",
        sa.Column("sop_uid", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attributes", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sop_uid"),
    )
