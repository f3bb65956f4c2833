"""The trail is asked by patient; a data key may be given up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Both columns may be empty: an older gateway that still runs beside this goes on.

    Events of before get no patient here: their documents may be sealed, and PostgreSQL refuses every change of them.
    Whoever asks by patient reads those.
    """
    op.add_column("audit_event", sa.Column("patient", sa.String(), nullable=True))
    op.create_index("audit_event_by_patient", "audit_event", ["patient"], unique=False)
    op.add_column("data_key", sa.Column("lost_at", sa.DateTime(), nullable=True))
