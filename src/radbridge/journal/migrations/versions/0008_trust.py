"""Several gateways, an audit trail, accounts, encryption; duplicates are told by an index; keys count to 2^63."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from radbridge.journal.buckets import bucket_of

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COUNTED = (
    ("message", "id"),
    ("draft", "seq"),
    ("delivery", "seq"),
    ("edit", "seq"),
    ("memory", "number"),
    ("lora_event", "seq"),
    ("resource_version", "seq"),
    ("resource_index", "seq"),
    ("subscription_event", "seq"),
    ("draft_feedback", "seq"),
)
_POINTING = (
    ("resource", "seq"),
    ("resource", "version"),
    ("resource_version", "version"),
    ("subscription_event", "number"),
    ("subscription_event", "version_seq"),
    ("dicom_waiting", "message_id"),
)
"""The numbers of versions and events too: a client may ask for one of any size."""


def upgrade() -> None:
    """Every new column has a default: an older gateway that still runs beside this goes on."""
    _widen_messages()
    _widen_work()
    _make_cluster()
    _make_accounts()
    _make_trail()
    if op.get_bind().dialect.name == "postgresql":
        _suit_postgresql()


def _add(table: str, *columns: sa.Column[object]) -> None:
    for column in columns:
        op.add_column(table, column)


def _bucket() -> sa.Column[object]:
    return sa.Column("bucket", sa.SmallInteger(), server_default="0", nullable=False)


def _text(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.String(), server_default="", nullable=False)


def _count(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Integer(), server_default="0", nullable=False)


def _flag(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(), nullable=True)


def _index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _widen_messages() -> None:
    _add("message", _bucket(), _flag("urgent"), _text("touches"), _count("tries"), _time("not_before"))
    _add("message", _time("settled_at"), sa.Column("reply", sa.LargeBinary(), nullable=True))
    _add("message", _text("reply_to"), _text("trace"))
    # No journal should hold the same bytes of a sender twice; should one, the later copy is told apart from now on.
    op.execute(
        """
        UPDATE message SET digest = digest || '#' || CAST(id AS VARCHAR)
        WHERE id IN (
            SELECT id FROM (
                SELECT id, row_number() OVER (PARTITION BY sender_key, digest ORDER BY id) AS copy
                FROM message WHERE state <> 'rejected'
            ) AS numbered WHERE copy > 1
        )
        """
    )
    op.drop_index("message_by_sender_key", "message")
    op.drop_index("message_by_state", "message")
    _index("message_by_sender", "message", ["sender_key", "digest"], "state <> 'rejected'", unique=True)
    _index("message_by_work", "message", ["urgent", "id", "bucket"], "state = 'accepted'")
    _index("message_by_width", "message", ["id"], "state = 'accepted' AND touches <> ''")
    _index("message_by_fault", "message", ["id"], "state IN ('rejected', 'failed', 'quarantined')")
    op.create_index("message_by_time", "message", ["received_at"], unique=False)
    _deal_out("message", "id", "accession", "state = 'accepted'", instead="sender_key")


def _widen_work() -> None:
    _add("case", _flag("urgent"))
    _add("draft_request", _bucket(), _text("trace"))
    op.drop_index("draft_request_by_work", "draft_request")
    op.create_index("draft_request_by_work", "draft_request", ["urgent", "ready_at", "bucket"], unique=False)
    _add("delivery", _bucket(), _text("trace"), _count("unanswered"), _time("first_sent_at"), _time("sent_at"))
    _add("delivery", _count("nacks"))
    op.drop_index("delivery_by_work", "delivery")
    _index("delivery_by_work", "delivery", ["destination", "urgent", "next_at", "seq", "bucket"], "state = 'pending'")
    _index("delivery_by_fault", "delivery", ["seq"], "state IN ('dead', 'refused')")
    _deal_out("draft_request", "accession", "accession", "accession <> ''")
    _deal_out("delivery", "seq", "accession", "state = 'pending'")


def _deal_out(table: str, key: str, named: str, where: str, *, instead: str = "") -> None:
    """Give what waits its bucket: by its accession, or by its sender where it names none."""
    columns: list[sa.ColumnClause[object]] = [sa.column(name) for name in dict.fromkeys((key, named, instead or named))]
    waiting = op.get_bind().execute(sa.select(*columns).select_from(sa.table(table)).where(sa.text(where))).mappings()
    rows = [
        {"of_row": row[key], "in_bucket": bucket_of(row[named] or row[instead or named].split("\x1f")[0])}
        for row in waiting
    ]
    if rows:
        change = sa.update(sa.table(table, sa.column(key), sa.column("bucket")))
        op.get_bind().execute(
            change.where(sa.column(key) == sa.bindparam("of_row")).values(bucket=sa.bindparam("in_bucket")), rows
        )


def _make_cluster() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        _text("owner"),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
        _flag("clean"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "gateway",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "destination",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        _text("reason"),
        _text("actor"),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        _count("failures"),
        _time("open_until"),
        _time("answered_at"),
        sa.Column("breaker_s", sa.Float(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "cursor",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "sequence_number",
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sender"),
    )


def _make_accounts() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("roles", sa.String(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        _text("issuer"),
        _text("subject"),
        _flag("disabled"),
        _count("failures"),
        _time("locked_until"),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("account_by_name", "account", ["name"], unique=True)
    _index("account_by_subject", "account", ["issuer", "subject"], "subject <> ''", unique=True)
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("roles", sa.String(), nullable=False),
        _text("scopes"),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        _time("expires_at"),
        _time("used_at"),
        _time("revoked_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "login_session",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("csrf", sa.String(), nullable=False),
        sa.Column("roles", sa.String(), nullable=False),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("login_session_by_expiry", "login_session", ["expires_at"], unique=False)


def _make_trail() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "audit_pending",
        sa.Column("seq", key, autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit_event",
        sa.Column("seq", key, autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("prev", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("audit_event_by_entity", "audit_event", ["entity"], unique=False)
    op.create_index("audit_event_by_time", "audit_event", ["at"], unique=False)
    op.create_table(
        "audit_anchor",
        sa.Column("seq", key, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "data_key",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("kek", sa.String(), nullable=False),
        sa.Column("seals", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        _time("retired_at"),
        sa.PrimaryKeyConstraint("id"),
    )


def _suit_postgresql() -> None:
    for table, column in _COUNTED:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE BIGINT")
        op.execute(f"ALTER SEQUENCE {table}_{column}_seq AS BIGINT")
    for table, column in _POINTING:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE BIGINT")
    op.execute("ALTER TABLE message SET (autovacuum_vacuum_scale_factor = 0.02)")  # each row is updated once
    op.execute(
        """
        CREATE FUNCTION radbridge_keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF current_setting('radbridge.purge', true) = 'on' THEN
                IF TG_OP = 'DELETE' THEN
                    RETURN OLD;
                END IF;
                IF (NEW.seq, NEW.prev, NEW.hash, NEW.at) = (OLD.seq, OLD.prev, OLD.hash, OLD.at) THEN
                    RETURN NEW;
                END IF;
            END IF;
            RAISE EXCEPTION 'the audit trail is only appended to';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER audit_event_stays BEFORE UPDATE OR DELETE ON audit_event"
        " FOR EACH ROW EXECUTE FUNCTION radbridge_keep_audit()"
    )
