"""DICOM: what is known of each object, which accession a study belongs to, what waits for that, procedure steps."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from radbridge.journal.tables.base import metadata
from radbridge.journal.types import Key, Sealed, Utc, Words

dicom_instances = Table(
    "dicom_instance",
    metadata,
    Column("sop_uid", Words, primary_key=True),
    Column("class_uid", Words, nullable=False),
    Column("study_uid", Words, nullable=False),
    Column("series_uid", Words, nullable=False),
    Column("accession", Words, nullable=False),
    Column("issuer", Words, nullable=False),
    Column("context", String, nullable=False),  # digest of what it says of its study: equal, nothing new
    Column("peer", Words, nullable=False),
    Column("received_at", Utc, nullable=False),
    Index("dicom_instance_by_study", "study_uid", "context"),
    sqlite_with_rowid=False,
)

dicom_studies = Table(
    "dicom_study",
    metadata,
    Column("study_uid", Words, primary_key=True),
    Column("accession", Words, primary_key=True),
    Column("issuer", Words, primary_key=True),
)

dicom_waiting = Table(
    "dicom_waiting",
    metadata,
    Column("study_uid", Words, primary_key=True),
    Column("message_id", Key, primary_key=True, autoincrement=False),
    Index("dicom_waiting_by_message", "message_id"),
)

dicom_steps = Table(
    "dicom_step",
    metadata,
    Column("sop_uid", Words, primary_key=True),
    Column("state", String, nullable=False),
    Column("attributes", Sealed("dicom_step.attributes"), nullable=False),
    Column("updated_at", Utc, nullable=False),
)
