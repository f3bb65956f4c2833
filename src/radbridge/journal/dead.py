"""Dead letters: messages and deliveries that wait for a person, and what a person may do with them.

An id is `m17` for a message, `d9` for a delivery. Each act is noted in the audit trail, in its own transaction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, func, literal_column, select, update

from radbridge.audit import Note, Subject, What, each
from radbridge.case import CaseKey
from radbridge.draft import DraftState
from radbridge.errors import ConfigError
from radbridge.journal import audit, drafts
from radbridge.journal.locks import Lock, hold
from radbridge.journal.messages import split_touches, subjects_of
from radbridge.journal.schema import DeliveryState, MessageState, Purpose, deliveries, messages
from radbridge.journal.tables.where import DELIVERY_FAILED, MESSAGE_FAILED
from radbridge.journal.types import as_stored, open_stored

_ID = re.compile(r"(?P<kind>[md])(?P<number>[1-9]\d{0,17})")
_MESSAGE_ROWS = as_stored(messages, messages.c.raw).where(MESSAGE_FAILED)
_DELIVERY_ROWS = as_stored(deliveries, deliveries.c.payload).where(DELIVERY_FAILED)
_MESSAGES = _MESSAGE_ROWS.order_by(messages.c.id.desc()).limit(bindparam("at_most"))
_DELIVERIES = _DELIVERY_ROWS.order_by(deliveries.c.seq.desc()).limit(bindparam("at_most"))
_MESSAGE = _MESSAGE_ROWS.where(messages.c.id == bindparam("number"))
_DELIVERY = _DELIVERY_ROWS.where(deliveries.c.seq == bindparam("number"))
_later = messages.alias("later")
_IS_LATER = (_later.c.id > bindparam("number")) & (_later.c.state == MessageState.DONE)
_OVERTAKEN = select(exists().where(_IS_LATER, _later.c.accession.in_(bindparam("accessions", expanding=True))))
_TOUCHING = select(_later.c.touches).where(
    _IS_LATER,
    _later.c.touches != literal_column("''"),  # as the index says it
    func.replace(_later.c.touches, bindparam("key"), "") != _later.c.touches,
)
_APPLY_AGAIN = (
    update(messages)
    .where(messages.c.id == bindparam("number"))
    .values(state=MessageState.ACCEPTED, reason="", tries=0, not_before=None, settled_at=None)
)
_SEND_AGAIN = (
    update(deliveries)
    .where(deliveries.c.seq == bindparam("number"))
    .values(state=DeliveryState.PENDING, nacks=0, unanswered=0, sent_at=None, next_at=bindparam("at"))
)
_DROP_MESSAGE = (
    update(messages)
    .where(messages.c.id == bindparam("number"))
    .values(
        state=MessageState.DROPPED,
        reason=bindparam("because"),
        digest=bindparam("as_digest"),
        settled_at=bindparam("at"),
    )
)
_DROP_DELIVERY = (
    update(deliveries)
    .where(deliveries.c.seq == bindparam("number"))
    .values(state=DeliveryState.DROPPED, answer=bindparam("because"))
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dead:
    """A message or a delivery that waits for a person."""

    id: str
    state: str
    kind: str
    """`ORU^R01`; of a delivery `draft` or `withdrawal`."""
    where: str
    """The peer it came from, or the destination."""
    accession: str = field(repr=False)
    at: datetime
    """When it came in, or was queued."""
    tries: int
    reason: str
    raw: bytes = field(repr=False)
    """The message as it came, or as it was to go; empty where it never was composed, or can't be opened."""
    first_sent_at: datetime | None = None
    """Of a delivery that was sent: a peer may have it since then."""
    subjects: tuple[Subject, ...] = field(default=(), repr=False)
    """Whose it is, as far as it says; for the trail."""

    @property
    def is_message(self) -> bool:
        """Else it is a delivery."""
        return self.id.startswith("m")


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """What somebody wants done with one."""

    id: str
    actor: str
    via: str
    """`cli`, `api`."""
    reason: str = ""
    force: bool = False
    """Even where a newer message of the same case was applied already."""


def everything(conn: Connection, at_most: int) -> list[Dead]:
    """What waits for a person, newest first: `at_most` messages and as many deliveries."""
    found = [_of_message(conn, row) for row in conn.execute(_MESSAGES, {"at_most": at_most})]
    found += [_of_delivery(conn, row) for row in conn.execute(_DELIVERIES, {"at_most": at_most})]
    return sorted(found, key=lambda dead: dead.at, reverse=True)


def noted(note: Note, found: Sequence[Dead]) -> list[Note]:
    """The note for everybody whom one of them is about; once where none says."""
    return each(note, (subject for one in found for subject in one.subjects))


def show(conn: Connection, id: str) -> Dead:
    """One of them. Raises ConfigError."""
    kind, row = _find(conn, id)
    return _of_message(conn, row) if kind == "m" else _of_delivery(conn, row)


def retry(conn: Connection, acts: Sequence[Act]) -> list[Dead]:
    """Have messages applied and deliveries sent once more; each as it was. Raises ConfigError where that can't be."""
    return [_act(conn, act, What.RETRIED) for act in acts]


def drop(conn: Connection, acts: Sequence[Act]) -> list[Dead]:
    """Give them up: they are kept, and wait for nobody any more. Raises ConfigError."""
    return [_act(conn, act, What.DROPPED) for act in acts]


def _act(conn: Connection, act: Act, what: What) -> Dead:
    _, row = _find(conn, act.id)
    hold(conn, Lock.CASE, [row.accession])
    kind, row = _find(conn, act.id)  # it may have changed until the lock was ours
    dead = _of_message(conn, row) if kind == "m" else _of_delivery(conn, row)
    now = datetime.now(UTC)
    if what is What.DROPPED:
        _drop(conn, kind, row, act, now)
    elif kind == "m":
        _apply_again(conn, row, act)
    else:
        _send_again(conn, row, act, now)
    detail = {"id": act.id, "kind": dead.kind, "state": dead.state, "reason": act.reason, "where": dead.where}
    said = {word: text for word, text in detail.items() if text}
    audit.note(conn, noted(Note(at=now, what=what, actor=act.actor, via=act.via, detail=said), [dead]))
    return dead


def _apply_again(conn: Connection, row: Row[Any], act: Act) -> None:
    if row.state == MessageState.REJECTED:
        raise ConfigError([f"{act.id}: it was never taken in and its sender was told so: it has to be sent again"])
    if not act.force and _is_overtaken(conn, row):
        raise ConfigError(
            [f"{act.id}: a later message of its case was applied and this one would undo it; drop it, or force it"]
        )
    conn.execute(_APPLY_AGAIN, {"number": row.id})


def _is_overtaken(conn: Connection, row: Row[Any]) -> bool:
    """Whether a later message was applied that is about any case or patient of this one, be it beside another."""
    keys = {row.accession, *split_touches(row.touches)} - {""}
    if keys and conn.execute(_OVERTAKEN, {"number": row.id, "accessions": sorted(keys)}).scalar_one():
        return True
    touching = ((key, conn.execute(_TOUCHING, {"number": row.id, "key": key}).scalars()) for key in keys)
    return any(key in split_touches(touches) for key, found in touching for touches in found)


def _send_again(conn: Connection, row: Row[Any], act: Act, now: datetime) -> None:
    stored = drafts.by_id(conn, row.draft_id)
    if row.purpose == Purpose.DRAFT and (stored is None or stored.state is not DraftState.CURRENT):
        raise ConfigError([f"{act.id}: its draft doesn't stand any more and is never sent; drop it"])
    conn.execute(_SEND_AGAIN, {"number": row.seq, "at": now})


def _drop(conn: Connection, kind: str, row: Row[Any], act: Act, now: datetime) -> None:
    because = f"dropped by {act.actor}{': ' + act.reason if act.reason else ''}; was {row.state}"
    if kind == "d":
        conn.execute(_DROP_DELIVERY, {"number": row.seq, "because": f"{because}: {row.answer}"})
        return
    # A rejected message never counted for telling duplicates, and must not begin to.
    digest = f"{row.digest}#{row.id}" if row.state == MessageState.REJECTED else row.digest
    said = {"number": row.id, "because": f"{because}: {row.reason}", "as_digest": digest, "at": now}
    conn.execute(_DROP_MESSAGE, said)


def _find(conn: Connection, id: str) -> tuple[str, Row[Any]]:
    match = _ID.fullmatch(id)
    if match is None:
        raise ConfigError([f"{id!r} is no id: they look like m17 or d9, and `radbridge dead list` shows them"])
    query = _MESSAGE if match["kind"] == "m" else _DELIVERY
    row = conn.execute(query, {"number": int(match["number"])}).first()
    if row is None:
        raise ConfigError([f"{id}: nothing of that id waits for a person; `radbridge dead list` shows what does"])
    return match["kind"], row


def _of_message(conn: Connection, row: Row[Any]) -> Dead:
    return Dead(
        id=f"m{row.id}",
        state=row.state,
        kind=row.kind,
        where=row.peer,
        accession=row.accession,
        at=row.received_at,
        tries=row.tries,
        reason=row.reason,
        raw=open_stored(conn, row.stored, "message.raw")[0],
        subjects=tuple(subjects_of(row.accession, split_touches(row.touches))),
    )


def _of_delivery(conn: Connection, row: Row[Any]) -> Dead:
    return Dead(
        id=f"d{row.seq}",
        state=row.state,
        kind=row.purpose,
        where=row.destination,
        accession=row.accession,
        at=row.created_at,
        tries=row.attempts,
        reason=row.answer,
        raw=open_stored(conn, row.stored, "delivery.payload")[0],
        first_sent_at=row.first_sent_at,
        subjects=(Subject(entity=CaseKey(accession=row.accession, issuer=row.issuer)),),
    )
