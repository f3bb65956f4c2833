"""Messages that came in: committed before they are acknowledged, then applied once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from radbridge.journal.schema import MessageState, messages
from radbridge.wire import Received, Rejected

_ANSWERED = select(messages.c.sender_key, messages.c.digest, messages.c.ack).where(
    messages.c.sender_key.in_(bindparam("keys", expanding=True)), messages.c.state != MessageState.REJECTED
)
_INSERT = insert(messages)
_SETTLE = (
    update(messages)
    .where(messages.c.id == bindparam("message_id"))
    .values(state=bindparam("to_state"), reason=bindparam("because"))
)
_WAITING = (
    select(messages.c.id, messages.c.wire, messages.c.kind, messages.c.raw, messages.c.received_at)
    .where(messages.c.state == MessageState.ACCEPTED, messages.c.id > bindparam("after"))
    .order_by(messages.c.id)
    .limit(bindparam("at_most"))
)
_STORED = (
    select(messages.c.id, messages.c.wire, messages.c.kind, messages.c.raw, messages.c.received_at)
    .where(messages.c.sender_key == bindparam("key"), messages.c.digest == bindparam("of_bytes"))
    .order_by(messages.c.id.desc())
    .limit(1)
)
_OF_ACCESSION = (
    select(messages.c.id, messages.c.wire, messages.c.kind, messages.c.raw, messages.c.received_at)
    .where(messages.c.accession == bindparam("of_accession"), messages.c.state != MessageState.REJECTED)
    .order_by(messages.c.id)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A committed message that has not been applied yet."""

    id: int
    wire: str
    kind: str
    raw: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The answer to send, and whether the message is a new one."""

    ack: bytes = field(repr=False)
    new: bool


def accept(conn: Connection, received: Sequence[Received]) -> list[Accepted]:
    """Store messages. The same bytes from the same sender under the same id get the first answer again, and no row."""
    keys = [_key(r) for r in received]
    digests = [_digest(r) for r in received]
    answered: dict[str, dict[str, bytes]] = {}
    for key, digest, ack in conn.execute(_ANSWERED, {"keys": list(set(keys))}):
        answered.setdefault(key, {})[digest] = ack
    rows: list[dict[str, Any]] = []
    result: list[Accepted] = []
    now = datetime.now(UTC)
    for message, key, digest in zip(received, keys, digests, strict=True):
        earlier = answered.setdefault(key, {})
        if digest in earlier:
            result.append(Accepted(ack=earlier[digest], new=False))
            continue
        rows.append(
            _row(message, now, key, digest) | {"state": MessageState.ACCEPTED, "reason": "", "reused_id": bool(earlier)}
        )
        earlier[digest] = message.ack
        result.append(Accepted(ack=message.ack, new=True))
    if rows:
        conn.execute(_INSERT, rows)
    return result


def take(conn: Connection, received: Received) -> Waiting | None:
    """Store a message that is to be applied in this very transaction; None for one that is there already."""
    (accepted,) = accept(conn, [received])
    if not accepted.new:
        return None
    row = conn.execute(_STORED, {"key": _key(received), "of_bytes": _digest(received)}).one()
    return Waiting(id=row.id, wire=row.wire, kind=row.kind, raw=row.raw, received_at=row.received_at)


def reject(conn: Connection, rejected: Sequence[Rejected]) -> list[None]:
    """Store messages that were not taken in, with the reason."""
    now = datetime.now(UTC)
    rows = [
        _row(r, now, f"\x1f{r.control_id}", _digest(r))
        | {"state": MessageState.REJECTED, "reason": f"{r.reason}: {r.detail}", "reused_id": False, "size": r.size}
        for r in rejected
    ]
    conn.execute(_INSERT, rows)
    return [None] * len(rows)


def _key(received: Received) -> str:
    return f"{received.sender}\x1f{received.control_id}"


def _digest(message: Received | Rejected) -> str:
    return hashlib.sha256(message.raw).hexdigest()


def _row(message: Received | Rejected, now: datetime, key: str, digest: str) -> dict[str, Any]:
    return {
        "received_at": now,
        "wire": message.wire,
        "peer": message.peer,
        "sender_key": key,
        "digest": digest,
        "kind": message.kind,
        "accession": message.accession if isinstance(message, Received) else "",
        "raw": message.raw,
        "size": len(message.raw),
        "ack": message.ack,
    }


def waiting(conn: Connection, *, after: int, at_most: int) -> list[Waiting]:
    """The oldest messages above id `after` that are to be applied, in order of arrival."""
    rows = conn.execute(_WAITING, {"after": after, "at_most": at_most})
    return [Waiting(id=r.id, wire=r.wire, kind=r.kind, raw=r.raw, received_at=r.received_at) for r in rows]


def of_accession(conn: Connection, accession: str) -> list[Waiting]:
    """Every message that was taken in for an accession number, in order of arrival."""
    rows = conn.execute(_OF_ACCESSION, {"of_accession": accession})
    return [Waiting(id=r.id, wire=r.wire, kind=r.kind, raw=r.raw, received_at=r.received_at) for r in rows]


def settle(conn: Connection, message_id: int, state: MessageState, reason: str = "") -> None:
    """Note what became of a message."""
    conn.execute(_SETTLE, {"message_id": message_id, "to_state": state, "because": reason})
