"""Who has a send under way, and which messages change more than one case, are found by an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The new column has a default: an older gateway that still runs beside this goes on."""
    op.add_column("delivery", sa.Column("senders", sa.String(), server_default="", nullable=False))
    _index("delivery_by_sender", "delivery", ["destination"], "senders <> ''")
    _index("message_by_touch", "message", ["id"], "touches <> ''")


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=False, sqlite_where=condition, postgresql_where=condition)
