"""Who may do what: accounts, API keys, login sessions."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, String, Table, false

from radbridge.journal.tables.base import metadata, partial_index
from radbridge.journal.types import Utc, Words

accounts = Table(
    "account",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Words, nullable=False),
    Column("kind", String, nullable=False),
    Column("roles", String, nullable=False),
    Column("secret", LargeBinary, nullable=False),  # of a password: salt and scrypt's result; empty for others
    Column("issuer", Words, nullable=False, server_default=""),
    Column("subject", Words, nullable=False, server_default=""),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("locked_until", Utc, nullable=True),
    Column("created_at", Utc, nullable=False),
    Index("account_by_name", "name", unique=True),
    partial_index("account_by_subject", "issuer", "subject", where="subject <> ''", unique=True),
)

api_keys = Table(
    "api_key",
    metadata,
    Column("id", String, primary_key=True),
    Column("account", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("roles", String, nullable=False),
    Column("scopes", Words, nullable=False, server_default=""),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=True),
    Column("used_at", Utc, nullable=True),
    Column("revoked_at", Utc, nullable=True),
)

login_sessions = Table(
    "login_session",
    metadata,
    Column("digest", String, primary_key=True),
    Column("account", String, nullable=False),
    Column("csrf", String, nullable=False),
    Column("roles", String, nullable=False),
    Column("via", String, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Index("login_session_by_expiry", "expires_at"),
)
