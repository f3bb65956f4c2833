"""Several gateways on one journal, and what they know of destinations, senders and their own progress."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, String, Table, false

from radbridge.journal.tables.base import metadata
from radbridge.journal.types import Utc, Words

leases = Table(
    "lease",
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False, server_default=""),  # a gateway's id; empty: nobody's
    Column("epoch", BigInteger, nullable=False, server_default="0"),  # counts up with every owner
    Column("until", Utc, nullable=False),
    Column("clean", Boolean, nullable=False, server_default=false()),  # given back, not left behind by a death
)

gateways = Table(
    "gateway",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("version", String, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("address", String, nullable=False),
)

destinations = Table(
    "destination",
    metadata,
    Column("name", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("reason", Words, nullable=False, server_default=""),
    Column("actor", Words, nullable=False, server_default=""),
    Column("changed_at", Utc, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("open_until", Utc, nullable=True),
    Column("answered_at", Utc, nullable=True),  # when it last answered anything
    Column("breaker_s", Float, nullable=False, server_default="0"),
)

cursors = Table(
    "cursor",
    metadata,
    Column("name", String, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("at", Utc, nullable=False),
)

sequence_numbers = Table(
    "sequence_number",
    metadata,
    Column("sender", Words, primary_key=True),
    Column("expected", BigInteger, nullable=False),
    Column("at", Utc, nullable=False),
)
