"""Messages, cases, draft requests, drafts, deliveries, secrets: the main line."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, SmallInteger, String, Table, false

from radbridge.journal.tables.base import metadata, partial_index
from radbridge.journal.types import Key, Sealed, Utc, Words

NOT_REJECTED = "state <> 'rejected'"
WAITS = "state = 'accepted'"
PENDING = "state = 'pending'"
"""Conditions of partial indexes. SQLite uses such an index only for a statement that says the same, word for word."""

messages = Table(
    "message",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True),
    Column("received_at", Utc, nullable=False),
    Column("wire", String, nullable=False),
    Column("peer", Words, nullable=False),
    Column("sender_key", Words, nullable=False),  # sender and control id: what duplicates are told by
    Column("digest", String, nullable=False),
    Column("kind", Words, nullable=False),
    Column("accession", Words, nullable=False),
    Column("raw", Sealed("message.raw"), nullable=False),
    Column("size", Integer, nullable=False),
    Column("ack", Sealed("message.ack"), nullable=False),
    Column("state", String, nullable=False),
    Column("reason", Words, nullable=False, default=""),
    Column("reused_id", Boolean, nullable=False, default=False),  # same control id, other bytes
    Column("bucket", SmallInteger, nullable=False, server_default="0"),
    Column("urgent", Boolean, nullable=False, server_default=false()),
    Column("touches", Words, nullable=False, server_default=""),  # what else it is about: see `messages.split_touches`
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("not_before", Utc, nullable=True),
    Column("settled_at", Utc, nullable=True),
    Column("reply", Sealed("message.reply"), nullable=True),  # the application acknowledgement, once there is one
    Column("reply_to", Words, nullable=False, server_default=""),  # MSH-16: when one is wanted
    Column("trace", Words, nullable=False, server_default=""),  # W3C traceparent
    partial_index("message_by_sender", "sender_key", "digest", where=NOT_REJECTED, unique=True),
    Index("message_by_accession", "accession"),
    partial_index("message_by_work", "urgent", "id", "bucket", where=WAITS),
    partial_index("message_by_width", "id", where=f"{WAITS} AND touches <> ''"),
    partial_index("message_by_touch", "id", where="touches <> ''"),
    partial_index("message_by_fault", "id", where="state IN ('rejected', 'failed', 'quarantined')"),
    Index("message_by_time", "received_at"),
    sqlite_autoincrement=True,
)

ARRIVING = (
    *("wire", "peer", "sender_key", "digest", "kind", "accession", "raw", "size", "ack", "bucket", "urgent"),
    *("touches", "reply_to", "trace", "reused_id"),
)
"""The columns in which messages that come in together differ, in the order of `messages.accept`'s rows."""

cases = Table(
    "case",
    metadata,
    Column("accession", Words, primary_key=True),  # first: it is looked for without its issuer too
    Column("issuer", Words, primary_key=True),
    Column("patient_id", Words, nullable=False),
    Column("patient_issuer", Words, nullable=False),
    Column("state", String, nullable=False),
    Column("document", Sealed("case.document"), nullable=False),
    Column("updated_at", Utc, nullable=False),
    Column("urgent", Boolean, nullable=False, server_default=false()),
    Index("case_by_patient", "patient_id"),
    Index("case_by_update", "updated_at"),
)

draft_requests = Table(
    "draft_request",
    metadata,
    Column("accession", Words, primary_key=True),  # first: it is looked for without its issuer too
    Column("issuer", Words, primary_key=True),
    Column("revision", String, nullable=False),  # changes with every new text: an older answer is known as stale
    Column("requested_at", Utc, nullable=False),
    Column("ready_at", Utc, nullable=False),
    Column("urgent", Boolean, nullable=False, server_default=false()),  # a critical finding: goes before the others
    Column("bucket", SmallInteger, nullable=False, server_default="0"),
    Column("trace", Words, nullable=False, server_default=""),
    Index("draft_request_by_work", "urgent", "ready_at", "bucket"),
)

drafts = Table(
    "draft",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("issuer", Words, nullable=False),
    Column("accession", Words, nullable=False),
    Column("findings_digest", String, nullable=False),
    Column("signer", Words, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", Words, nullable=False, default=""),
    Column("document", Sealed("draft.document"), nullable=False),
    Column("made_at", Utc, nullable=False),
    Index("draft_by_case", "accession", "issuer"),
    Index("draft_by_state", "state", "seq"),
)

deliveries = Table(
    "delivery",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=True),
    Column("control_id", String, nullable=False, unique=True),
    Column("destination", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("issuer", Words, nullable=False),
    Column("accession", Words, nullable=False),
    Column("draft_id", String, nullable=False),
    Column(
        "payload", Sealed("delivery.payload"), nullable=False, default=b""
    ),  # composed before the first send, then never changed
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Utc, nullable=False),
    Column("answer", Words, nullable=False, default=""),
    Column("created_at", Utc, nullable=False),
    Column("confirmed_at", Utc, nullable=True),
    Column("urgent", Boolean, nullable=False, server_default=false()),
    Column("bucket", SmallInteger, nullable=False, server_default="0"),
    Column("trace", Words, nullable=False, server_default=""),
    Column("unanswered", Integer, nullable=False, server_default="0"),  # sends that the peer took and never answered
    Column("first_sent_at", Utc, nullable=True),
    Column("sent_at", Utc, nullable=True),  # the last send whose answer is still open
    Column("nacks", Integer, nullable=False, server_default="0"),  # answers that ask for another try
    partial_index("delivery_by_work", "destination", "urgent", "next_at", "seq", "bucket", where=PENDING),
    Column("senders", String, nullable=False, server_default=""),  # gateways whose send of it has no noted end
    partial_index("delivery_by_sender", "destination", where="senders <> ''"),
    partial_index("delivery_by_fault", "seq", where="state IN ('dead', 'refused')"),
    Index("delivery_by_draft", "draft_id"),
    Index("delivery_by_case", "accession", "issuer"),
)

secrets = Table(
    "secret",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Sealed("secret.value"), nullable=False),
)
