"""What each LoRA was trained on, who may not be learned from; signed reports are scrubbed anew, with their context."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. A remembered report told its findings and its impression alone so far."""
    op.create_table(
        "lora_source",
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("accession", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("version", "accession", "issuer"),
        sqlite_with_rowid=False,
    )
    op.create_index("lora_source_by_case", "lora_source", ["accession", "issuer"], unique=False)
    op.create_table(
        "withdrawal",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "reference"),
    )
    op.drop_index("memory_by_signer", "memory")
    op.create_index("memory_by_signer", "memory", ["signer", "state", "number"], unique=False)
    op.execute(
        sa.text("UPDATE memory SET state = 'waiting', document = :empty WHERE state = 'kept'").bindparams(empty=b"")
    )
