"""The style memory; every report that was signed so far waits to be remembered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_READ = {
    "sqlite": (
        "json_extract(CAST(document AS TEXT), '$.signer.id')",
        r"strftime('%Y-%m-%d %H\:%M\:%f000', json_extract(CAST(document AS TEXT), '$.signed_at'))",
    ),
    "postgresql": (
        "CAST(convert_from(document, 'UTF8') AS json) #>> '{signer,id}'",
        "CAST(CAST(convert_from(document, 'UTF8') AS json) ->> 'signed_at' AS timestamptz) AT TIME ZONE 'UTC'",
    ),
}
"""Signer and time of signing in a case's document; a colon is escaped for `text`."""


def upgrade() -> None:
    """Make the table, and fill it from the journal's history in the order of signing."""
    op.create_table(
        "memory",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("accession", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("signer", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("accession", "issuer", name="memory_by_case"),
        sqlite_autoincrement=True,
    )
    op.create_index("memory_by_signer", "memory", ["signer", "number"], unique=False)
    op.create_index("memory_by_state", "memory", ["state", "number"], unique=False)
    signer, signed_at = _READ[op.get_bind().dialect.name]
    op.execute(
        sa.text(
            f"""
            INSERT INTO memory (accession, issuer, signer, state, document, signed_at)
            SELECT accession, issuer, signer, 'waiting', :empty, signed_at FROM (
                SELECT accession, issuer, {signer} AS signer, {signed_at} AS signed_at
                FROM "case" WHERE state = 'signed'
            ) signed
            WHERE signer <> '' AND signed_at IS NOT NULL ORDER BY signed_at
            """  # noqa: S608 - the two expressions stand above
        ).bindparams(empty=b"")
    )
