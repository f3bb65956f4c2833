"""Sessions in the journal's table: a session, its message and the draft it asks for again, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, select
from sqlalchemy import insert as plain_insert

from radbridge.audit import Note
from radbridge.case import CaseKey
from radbridge.journal import audit, cases, deliveries, drafts, messages
from radbridge.journal.locks import Lock, hold
from radbridge.journal.schema import DeliveryState, Purpose, draft_feedback
from radbridge.journal.schema import fhircast_contexts as table
from radbridge.journal.upsert import insert
from radbridge.wire import Received
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.message import read_event
from radbridge_adapters.fhircast.session import Open, Session
from radbridge_adapters.resources.json import read_json, write_json

LARGEST = 8 * 2**20
"""Bytes of one session: it is written whole with every event."""
_SEPARATOR = "\x1f"
KEPT = timedelta(days=1)
"""A session with nothing open is kept for so long: a close that is sent again finds its id."""

_INSERT = insert(table)
_SAVE = _INSERT.on_conflict_do_update(
    index_elements=["hub", "topic_digest"],
    set_={c.name: _INSERT.excluded[c.name] for c in table.c if c.name not in ("hub", "topic_digest")},
)
_LOAD = select(table.c.document).where(table.c.hub == bindparam("of_hub"), table.c.topic_digest == bindparam("digest"))
_OPEN_FOR = select(table.c.topic_digest).where(
    table.c.hub == bindparam("of_hub"), func.replace(table.c.accession, bindparam("listed"), "") != table.c.accession
)
_FEEDBACK = plain_insert(draft_feedback)
_PURGE = delete(table).where(and_(table.c.anchor_type == "", table.c.updated_at < bindparam("before")))


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """A session to be kept, and what goes with it."""

    hub: str
    """The foreign hub's name; empty for ours."""
    digest: str
    current: Open | None
    document: bytes = field(repr=False)
    """The session, by `write_session`."""
    keys: Mapping[str, CaseKey]
    """Whose reports are open, by the report's id."""
    key: CaseKey | None = None
    """Whose report the event is about."""
    received: Received | None = field(default=None, repr=False)
    outcome: str = ""
    """What the event says became of the report, where its draft has an outcome by that: `signed`, `cancelled`."""
    redraft: str = ""
    """The sink that is to get that report's standing draft once more: its reader has just opened it."""
    notes: Sequence[Note] = field(default=(), repr=False)
    """For the audit trail: who gets it."""


def save(conn: Connection, items: Sequence[Saved]) -> list[None]:
    """Keep sessions and journal their messages."""
    now = datetime.now(UTC)
    hold(conn, Lock.CASE, [item.key.accession for item in items if item.key is not None])
    for item in items:
        conn.execute(_SAVE, _row(item, now))
    audit.note(conn, [note for item in items for note in item.notes])
    received = [item.received for item in items if item.received is not None]
    if received:
        messages.accept(conn, received)
    for item in items:
        if item.key is not None and (item.redraft or item.outcome):
            _follow(conn, item, item.key, now)
    conn.execute(_PURGE, {"before": now - KEPT})
    return [None] * len(items)


def load(conn: Connection, hub: str, digest: str) -> Session:
    """The session as it was kept last; an empty one when it never was."""
    row = conn.execute(_LOAD, {"of_hub": hub, "digest": digest}).first()
    return Session() if row is None else read_session(row.document)


def find_topics(conn: Connection, hub: str, key: CaseKey) -> list[str]:
    """The digests of the topics in which a report with this accession is open, whoever issued it."""
    asked = {"of_hub": hub, "listed": _list([key])}
    return [row.topic_digest for row in conn.execute(_OPEN_FOR, asked)]


def _list(keys: Iterable[CaseKey]) -> str:
    """Accessions in one column, each between two separators; a session has few."""
    listed = _SEPARATOR.join(key.accession for key in keys)
    return f"{_SEPARATOR}{listed}{_SEPARATOR}" if listed else ""


def _follow(conn: Connection, item: Saved, key: CaseKey, now: datetime) -> None:
    """Note what became of the standing draft, or queue it once more: the content it was in is gone (2.10)."""
    case = cases.find(conn, key, "")
    standing = drafts.current(conn, case.key) if case else None
    if case is None or standing is None:
        return
    if item.outcome:
        conn.execute(
            _FEEDBACK,
            {"draft_id": standing.id, "source": "fhircast", "outcome": item.outcome, "reason_code": "", "at": now},
        )
    elif not _is_on_its_way(conn, case.key, item.redraft, standing.id):
        deliveries.put(conn, [item.redraft], Purpose.DRAFT, case.key, standing.id, at=now)


def _is_on_its_way(conn: Connection, key: CaseKey, sink: str, draft_id: str) -> bool:
    return any(
        d.destination == sink and d.draft_id == draft_id and d.state is DeliveryState.PENDING
        for d in deliveries.of_case(conn, key)
    )


def _row(item: Saved, now: datetime) -> dict[str, Any]:
    current = item.current
    own = item.keys.get(current.id) if current else None
    return {
        "hub": item.hub,
        "topic_digest": item.digest,
        "anchor_type": current.type if current else "",
        "anchor_id": current.id if current else "",
        "version_id": current.version if current else "",
        "accession": _list(item.keys.values()),
        "issuer": own.issuer if own else "",
        "document": item.document,
        "updated_at": now,
    }


def write_session(session: Session) -> bytes:
    """A session as JSON, without its topic. Raises CastFault 413 for one that holds too much."""
    document = write_json(
        {
            "seen": list(session.seen),
            "contexts": [
                {
                    "type": c.type,
                    "id": c.id,
                    "version": c.version,
                    "opened": c.opened.write(""),
                    "context": list(c.context),
                    "content": dict(c.content),
                }
                for c in session.contexts
            ],
        }
    )
    if len(document) > LARGEST:
        raise CastFault(413, "too_much", f"a session holds at most {LARGEST} bytes")
    return document


def read_session(raw: bytes) -> Session:
    """What `write_session` wrote."""
    document = read_json(raw)
    contexts = [
        Open(
            type=c["type"],
            id=c["id"],
            version=c["version"],
            opened=read_event(c["opened"]),
            context=c["context"],
            content=c["content"],
        )
        for c in document["contexts"]
    ]
    return Session(contexts=tuple(contexts), seen=tuple(document["seen"]))
