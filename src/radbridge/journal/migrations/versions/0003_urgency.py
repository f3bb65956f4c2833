"""Cases with a critical finding go first; the drafts that the guard kept back are found by their state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what waits already isn't urgent."""
    op.add_column("draft_request", sa.Column("urgent", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.drop_index("draft_request_by_ready", table_name="draft_request")
    op.create_index("draft_request_by_work", "draft_request", ["urgent", "ready_at"], unique=False)
    op.add_column("delivery", sa.Column("urgent", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.drop_index("delivery_by_work", table_name="delivery")
    op.create_index("delivery_by_work", "delivery", ["state", "destination", "urgent", "next_at", "seq"], unique=False)
    op.create_index("draft_by_state", "draft", ["state", "seq"], unique=False)
