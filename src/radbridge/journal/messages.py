"""Messages that came in: committed before they are acknowledged, then applied once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, LargeBinary, bindparam, insert, select, type_coerce, update

from radbridge.audit import Note, Outcome, Subject, What
from radbridge.case import CaseKey
from radbridge.journal import audit, postgres, sqlite
from radbridge.journal.buckets import BUCKETS, bucket_of
from radbridge.journal.schema import MessageState, messages
from radbridge.journal.sealing import escape, sealer_of, unseal
from radbridge.journal.tables.where import MESSAGE_STANDS, MESSAGE_WAITS
from radbridge.journal.types import clean, open_stored
from radbridge.wire import Accepted, Received, Rejected

__all__ = [
    "WAITING_COLUMNS",
    "Accepted",
    "Waiting",
    "accept",
    "bucket_for",
    "is_there",
    "keep_reply",
    "of_accession",
    "read_row",
    "reject",
    "settle",
    "split_touches",
    "subjects_of",
    "take",
    "waiting",
]

_SEPARATOR = "\x1f"
_PATIENT = "P:"
"""How the number of a patient begins among what a message touches."""
_Name = tuple[str, str]
"""What a message is told by: its sender's key, and the digest of its bytes."""
WAITING_COLUMNS = (
    messages.c.id,
    messages.c.wire,
    messages.c.kind,
    type_coerce(messages.c.raw, LargeBinary).label("raw"),  # as it is stored: one that can't be opened harms no other
    messages.c.received_at,
    messages.c.bucket,
    messages.c.accession,
    messages.c.touches,
    messages.c.urgent,
    messages.c.tries,
    messages.c.not_before,
    messages.c.trace,
    messages.c.reply_to,
)
"""What `read_row` reads."""
_INSERT = insert(messages)
_STATE = select(messages.c.state).where(messages.c.id == bindparam("message_id"))
_SETTLE = (
    update(messages)
    .where(messages.c.id == bindparam("message_id"))
    .values(state=bindparam("to_state"), reason=bindparam("because"), settled_at=bindparam("at"))
)
_OLDEST = (
    select(*WAITING_COLUMNS)
    .where(MESSAGE_WAITS, messages.c.urgent == bindparam("is_urgent"))
    .order_by(messages.c.id)
    .limit(bindparam("at_most"))
)
_OLDEST_OF = _OLDEST.where(messages.c.bucket.in_(bindparam("buckets", expanding=True)))
_BY_ID = select(*WAITING_COLUMNS).where(messages.c.id == bindparam("message_id"))
_OF_ACCESSION = (
    select(*WAITING_COLUMNS)
    .where(messages.c.accession == bindparam("of_accession"), MESSAGE_STANDS)
    .order_by(messages.c.id)
)
_THERE = (
    select(messages.c.id)
    .where(messages.c.sender_key == bindparam("key"), messages.c.digest == bindparam("of_bytes"), MESSAGE_STANDS)
    .limit(1)
)
_REPLY = select(messages.c.reply).where(messages.c.id == bindparam("message_id"))
_KEEP_REPLY = (
    update(messages)
    .where(messages.c.id == bindparam("message_id"), messages.c.reply.is_(None))
    .values(reply=bindparam("said"))
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A committed message that has not been applied yet."""

    id: int
    wire: str
    kind: str
    raw: bytes = field(repr=False)
    received_at: datetime
    bucket: int = 0
    accession: str = field(default="", repr=False)
    touches: tuple[str, ...] = field(default=(), repr=False)
    urgent: bool = False
    tries: int = 0
    not_before: datetime | None = None
    trace: str = ""
    reply_to: str = ""
    """Not empty: its sender waits to hear what becomes of it."""
    broken: str = ""
    """Why its bytes can't be opened; empty: they were."""


def bucket_for(received: Received) -> int:
    """The bucket of a message: of its case; without one, of what else it is about, or of its sender."""
    return bucket_of(clean(received.accession or next(iter(received.touches), "") or received.sender))


def accept(conn: Connection, received: Sequence[Received]) -> list[Accepted]:
    """Store messages. The same bytes from the same sender under the same id get the first answer again, and no row."""
    if not received:
        return []
    names = [(_key(message), _digest(message)) for message in received]
    first: dict[_Name, Received] = {}
    for name, message in zip(names, received, strict=True):
        first.setdefault(name, message)
    known = _store_on_sqlite(conn, first) if conn.dialect.name == "sqlite" else _store_on_postgresql(conn, first)
    if len(first) == len(names):
        return [known[name] for name in names]
    return [known[name] if name not in names[:n] else replace(known[name], new=False) for n, name in enumerate(names)]


def _store_on_sqlite(conn: Connection, first: Mapping[_Name, Received]) -> Mapping[_Name, Accepted]:
    """Look, then insert: nobody else can come between."""
    used = sqlite.find_used(conn, {key for key, _ in first})
    known = _read(conn, sqlite.find_messages(conn, [name for name in first if name[0] in used])) if used else {}
    new = {name: message for name, message in first.items() if name not in known} if known else first
    if not new:
        return known
    rows = _rows(conn, new, used)
    added = zip(new.items(), sqlite.add_messages(conn, datetime.now(UTC), rows), rows, strict=True)
    return known | {
        name: Accepted(id=id, ack=message.ack, new=True, reused=row[-1]) for (name, message), id, row in added
    }


def _store_on_postgresql(conn: Connection, first: Mapping[_Name, Received]) -> Mapping[_Name, Accepted]:
    """Insert, then look for what another gateway, or an earlier commit, has there already."""
    added = postgres.add_messages(conn, datetime.now(UTC), _rows(conn, first, set()))
    known = {
        name: Accepted(id=id, ack=first[name].ack, new=True, reused=reused) for name, (id, reused) in added.items()
    }
    if len(known) == len(first):
        return known
    return _read(conn, postgres.find_messages(conn, first.keys() - known.keys())) | known


def _read(conn: Connection, found: Iterable[Sequence[Any]]) -> dict[_Name, Accepted]:
    """What is there of senders' messages, by key and digest."""
    return {
        (key, digest): Accepted(
            id=id,
            ack=unseal(conn.dialect, ack, "message.ack"),
            new=False,
            reply=unseal(conn.dialect, reply, "message.reply") if reply else b"",
        )
        for id, key, digest, ack, reply in found
    }


def _rows(conn: Connection, new: Mapping[_Name, Received], reused: set[str]) -> list[tuple[Any, ...]]:
    """What is stored, in the order of ARRIVING. By hand: SQLAlchemy's handling of values costs as much as the rest."""
    rows: list[tuple[Any, ...]] = []
    sealer = sealer_of(conn.dialect)
    for (key, digest), message in new.items():
        raw, ack = message.raw, message.ack
        rows.append(
            (
                message.wire,
                clean(message.peer),
                key,
                digest,
                clean(message.kind),
                clean(message.accession),
                escape(raw) if sealer is None else sealer.seal(raw, "message.raw"),
                len(raw),
                escape(ack) if sealer is None or not ack else sealer.seal(ack, "message.ack"),
                bucket_for(message),
                message.urgent,
                clean(_SEPARATOR.join(message.touches)),
                message.reply_to and clean(message.reply_to),
                message.trace and clean(message.trace),
                key in reused,
            )
        )
        reused.add(key)
    return rows


def take(conn: Connection, received: Received) -> Waiting | None:
    """Store a message that is to be applied in this very transaction; None for one that is there already."""
    (accepted,) = accept(conn, [received])
    return read_row(conn, conn.execute(_BY_ID, {"message_id": accepted.id}).one()) if accepted.new else None


def is_there(conn: Connection, received: Received) -> bool:
    """Whether the same bytes of the same sender were taken in before under the same id."""
    return conn.execute(_THERE, {"key": _key(received), "of_bytes": _digest(received)}).first() is not None


def reject(conn: Connection, rejected: Sequence[Rejected]) -> list[None]:
    """Store messages that were not taken in, with the reason."""
    now = datetime.now(UTC)
    rows = [
        _row(r, now, f"{_SEPARATOR}{r.control_id}", _digest(r))
        | {
            "accession": "",
            "state": MessageState.REJECTED,
            "reason": f"{r.reason}: {r.detail}",
            "reused_id": False,
            "size": r.size,
            "settled_at": now,
        }
        for r in rejected
    ]
    conn.execute(_INSERT, rows)
    audit.note(conn, [_note(one, now) for one in rejected])
    return [None] * len(rows)


def _note(rejected: Rejected, at: datetime) -> Note:
    """Nothing was changed, but what was sent is kept. Its case isn't known: nobody has read it."""
    detail = {"kind": rejected.kind, "state": MessageState.REJECTED, "reason": rejected.reason}
    return Note(
        at=at,
        what=What.MESSAGE_FAILED,
        outcome=Outcome.MINOR,
        via=rejected.wire,
        peer=rejected.peer,
        detail={word: value for word, value in detail.items() if value},
    )


def _key(received: Received) -> str:
    return clean(f"{received.sender}{_SEPARATOR}{received.control_id}")


def _digest(message: Received | Rejected) -> str:
    return hashlib.sha256(message.raw).hexdigest()


def _row(message: Received | Rejected, now: datetime, key: str, digest: str) -> dict[str, Any]:
    return {
        "received_at": now,
        "wire": message.wire,
        "peer": clean(message.peer),
        "sender_key": key,
        "digest": digest,
        "kind": clean(message.kind),
        "raw": message.raw,
        "size": len(message.raw),
        "ack": message.ack,
    }


def waiting(conn: Connection, *, buckets: Collection[int], at_most: int, urgent: bool | None = None) -> list[Waiting]:
    """The oldest messages of some buckets that are to be applied, in order of arrival; None: urgent or not.

    Without a mark: on a database that several write to, an earlier number may be committed after a later one.
    """
    if urgent is None:  # each by the index, which begins with the urgency
        either = [m for each in (True, False) for m in waiting(conn, buckets=buckets, at_most=at_most, urgent=each)]
        return sorted(either, key=lambda message: message.id)[:at_most]
    asked: dict[str, Any] = {"is_urgent": urgent, "at_most": at_most}
    if len(buckets) == BUCKETS:
        return [read_row(conn, row) for row in conn.execute(_OLDEST, asked)]
    return [read_row(conn, row) for row in conn.execute(_OLDEST_OF, asked | {"buckets": sorted(buckets)})]


def of_accession(conn: Connection, accession: str) -> list[Waiting]:
    """Every message that was taken in for an accession number and can be opened, in order of arrival."""
    found = [read_row(conn, row) for row in conn.execute(_OF_ACCESSION, {"of_accession": accession})]
    return [message for message in found if not message.broken]


def split_touches(stored: str) -> tuple[str, ...]:
    """What a message is about besides its accession, from its column."""
    return tuple(filter(None, stored.split(_SEPARATOR)))


def subjects_of(accession: str, touches: Iterable[str]) -> list[Subject]:
    """The cases and patients that a message is about, as far as its wire could tell; for the trail."""
    named = [accession] if accession else []
    return [_subject_of(one) for one in (*named, *touches)]


def _subject_of(name: str) -> Subject:
    if name.startswith(_PATIENT):
        return Subject(patient=name.removeprefix(_PATIENT))
    return Subject(entity=CaseKey(accession=name))


def read_row(conn: Connection, row: Any) -> Waiting:
    """A row of WAITING_COLUMNS. Raises SealError where no document can be opened."""
    raw, broken = open_stored(conn, row.raw, "message.raw")
    return Waiting(
        id=row.id,
        wire=row.wire,
        kind=row.kind,
        raw=raw,
        received_at=row.received_at,
        bucket=row.bucket,
        accession=row.accession,
        touches=split_touches(row.touches),
        urgent=row.urgent,
        tries=row.tries,
        not_before=row.not_before,
        trace=row.trace,
        reply_to=row.reply_to,
        broken=broken,
    )


def settle(conn: Connection, message_id: int, state: MessageState, reason: str = "") -> None:
    """Note what became of a message."""
    conn.execute(_SETTLE, {"message_id": message_id, "to_state": state, "because": reason, "at": datetime.now(UTC)})


def state_of(conn: Connection, message_id: int) -> MessageState | None:
    """What became of a message; None where there is none."""
    state = conn.execute(_STATE, {"message_id": message_id}).scalar_one_or_none()
    return None if state is None else MessageState(state)


def keep_reply(conn: Connection, replies: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """Keep what senders are told of their messages' ends, by message id; for each, what was kept first."""
    return [_keep_reply(conn, message_id, reply) for message_id, reply in replies]


def _keep_reply(conn: Connection, message_id: int, reply: bytes) -> bytes:
    conn.execute(_KEEP_REPLY, {"message_id": message_id, "said": reply})
    kept: bytes | None = conn.execute(_REPLY, {"message_id": message_id}).scalar()
    return kept or reply
