"""The audit trail: notes made in the transaction of what they are about, chained behind it, verified by anybody.

    note(conn, notes)         in the very transaction of a change: it and its note are there, or neither
    chain_pending(conn)       moves what waits into the chain; one worker in a cluster, under a lock
    verify(conn)              reads the chain from its last anchor to its end, and adds it up again

An event's hash is made over the hash before it, its number, its time and its document, so that nothing in the middle
can be changed, taken out or put in. Whoever owns the database can write the whole chain anew: that is why its end is
told outside (`radbridge audit head`), and why `verify` takes an end that somebody kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
)

from radbridge.audit import Note, What, read, write
from radbridge.case import CaseKey
from radbridge.errors import AuditBroken, SealBroken
from radbridge.journal import keys, sealing
from radbridge.journal.locks import Lock, hold
from radbridge.journal.losses import Losses
from radbridge.journal.schema import audit_anchors, audit_events, audit_pending
from radbridge.journal.types import as_stored, clean

AT_ONCE = 500
"""Events chained in one transaction."""
START = bytes(32)
"""What the first event stands on."""
SYSLOG = "syslog"
"""The cursor of the events that an audit repository has got."""

_NOTE = insert(audit_pending)
_PENDING = select(audit_pending).order_by(audit_pending.c.seq).limit(bindparam("at_most"))
_CHAIN = insert(audit_events)
_LAST = select(audit_events.c.seq, audit_events.c.hash).order_by(audit_events.c.seq.desc()).limit(1)
_ANCHOR = select(audit_anchors).order_by(audit_anchors.c.seq.desc()).limit(1)
_WAITING = select(func.count(), func.min(audit_pending.c.at))
_EVENTS = as_stored(audit_events, audit_events.c.document).order_by(audit_events.c.seq)
"""Events, their documents as they are stored."""
_PLACE = "audit_event.document"
_CHUNK = 500
_MANY = "*"
"""What an event of many cases is found by: its document says which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The end of the chain: what somebody outside keeps."""

    seq: int = 0
    hash: bytes = START

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """`SEQ:HASH`, as it is told. Raises ValueError."""
        seq, _, digest = text.strip().partition(":")
        if len(digest) != 2 * len(START):
            raise ValueError("must be SEQ:HASH, as `radbridge audit head` prints it")
        return cls(seq=int(seq), hash=bytes.fromhex(digest))


@dataclass(frozen=True, kw_only=True, slots=True)
class Chained:
    """One event of the chain."""

    seq: int
    note: Note
    hash: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What `verify` has added up."""

    events: int
    head: Head
    anchor: int
    """The last event that a purge took; 0: none was."""
    pending: int
    oldest: datetime | None
    """Of those that wait to be chained."""
    unreadable: int
    """Of those that wait: no key opens them any more. The chain stops before the first."""
    lost: int
    """Of the chain's: sealed with a key that was given up. They stand where they stood; what they said is gone."""


def link(prev: bytes, seq: int, at: datetime, document: bytes) -> bytes:
    """An event's hash. All but the document has one length, so no two events are written alike."""
    moment = at.astimezone(UTC).isoformat(timespec="microseconds").encode()
    return hashlib.sha256(prev + seq.to_bytes(8, "big") + moment + b"\n" + document).digest()


def note(conn: Connection, notes: Iterable[Note]) -> None:
    """Have it noted, with the transaction that `conn` is in. Nobody waits for the chain."""
    rows = [{"at": n.at, "document": write(n)} for n in notes]
    if rows:
        conn.execute(_NOTE, rows)


def record(conn: Connection, notes: Sequence[Note]) -> list[None]:
    """`note` as an operation of the journal: for what changes nothing else."""
    note(conn, notes)
    return [None] * len(notes)


def record_all(conn: Connection, groups: Sequence[Sequence[Note]]) -> list[None]:
    """`record` for several notes of one act."""
    note(conn, [one for group in groups for one in group])
    return [None] * len(groups)


def chain_pending(conn: Connection, at_most: int = AT_ONCE) -> int:
    """Move what waits into the chain; how many there were."""
    hold(conn, Lock.AUDIT, [""])
    rows = conn.execute(_PENDING, {"at_most": at_most}).all()
    if not rows:
        return 0
    last, events = head(conn), []
    for row in rows:
        made, seq = read(row.document, row.at), last.seq + 1
        digest = link(last.hash, seq, row.at, row.document)
        events.append(
            {
                "seq": seq,
                "at": row.at,
                "what": made.what,
                "actor": made.actor,
                "entity": _entity(made),
                "document": row.document,
                "prev": last.hash,
                "hash": digest,
                "patient": made.patient,
            }
        )
        last = Head(seq=seq, hash=digest)
    conn.execute(_CHAIN, events)
    # Just these: one with a smaller number may be committed after we looked.
    conn.execute(delete(audit_pending).where(audit_pending.c.seq.in_([row.seq for row in rows])))
    return len(rows)


def head(conn: Connection) -> Head:
    """The end of the chain; where all of it was purged, the anchor."""
    row = conn.execute(_LAST).first() or conn.execute(_ANCHOR).first()
    return Head() if row is None else Head(seq=row.seq, hash=row.hash)


def pending(conn: Connection) -> tuple[int, datetime | None]:
    """How many wait to be chained, and since when."""
    count, oldest = conn.execute(_WAITING).one()
    return count, oldest


def verify(conn: Connection, *, start: int = 0, kept: Head | None = None) -> Verified:
    """Add the chain up, from event `start` on (0: from its anchor), and compare it with an end that was kept outside.

    Raises AuditBroken at the first event that doesn't fit, SealError where nothing can be opened now.
    """
    row = conn.execute(_ANCHOR).first()
    anchored = Head() if row is None else Head(seq=row.seq, hash=row.hash)
    if kept is not None and kept.seq < anchored.seq:
        raise AuditBroken(kept.seq, "the kept head was purged")
    last = _before(conn, start) if start > anchored.seq + 1 else anchored
    is_noted = row is None or last is not anchored
    is_kept = kept is None or kept == last
    count, gone, begin = 0, 0, last.seq
    given_up, losses = keys.lost(conn), Losses()
    for event in _rows(conn, last.seq):
        told = _check(conn, event, last, given_up)
        last, count = Head(seq=event.seq, hash=event.hash), count + 1
        if told is None:
            losses.add(event)
            gone += 1
        else:
            losses.hear(told, last.seq)
            is_noted = is_noted or _tells(told, anchored)
        if kept is not None and kept.seq == last.seq:
            is_kept = kept == last
            if not is_kept:
                raise AuditBroken(last.seq, "it isn't the event that the kept head is of")
    if kept is not None and not is_kept:
        raise AuditBroken(kept.seq, "the chain ends before the kept head")
    if gone or not is_noted:
        for told in _waiting(conn):
            losses.hear(told, last.seq + 1)
            is_noted = is_noted or _tells(told, anchored)
    if not is_noted:
        raise AuditBroken(anchored.seq, "an anchor that no purge has noted")
    losses.compare(after=begin)
    waiting, oldest = pending(conn)
    return Verified(
        events=count,
        head=last,
        anchor=anchored.seq,
        pending=waiting,
        oldest=oldest,
        unreadable=len(_find_unreadable(conn)),
        lost=gone,
    )


def give_up(conn: Connection, note_of: Callable[[dict[str, str]], Note]) -> int:
    """Take out what waits and no key opens any more; for each there is a note with the digest of its bytes. How many.

    Raises SealError where a key may come back: the site's file doesn't name it, or the key service is away.
    """
    hold(conn, Lock.AUDIT, [""])
    lost = _find_unreadable(conn)
    conn.execute(delete(audit_pending).where(audit_pending.c.seq.in_(lost)))
    note(conn, [note_of({"pending": str(seq), "digest": digest}) for seq, digest in lost.items()])
    return len(lost)


def tell_loss(conn: Connection, key: int) -> list[Mapping[str, str]]:
    """What stands of a key that is given up in this transaction, and of the anchor: for notes that others can read."""
    hold(conn, Lock.AUDIT, [""])
    row = conn.execute(_ANCHOR).first()
    anchored = Head() if row is None else Head(seq=row.seq, hash=row.hash)
    losses = Losses()
    for event in _rows(conn, 0):
        if sealing.key_of(bytes(event.stored)) == key:
            losses.add(event)
    return [{**detail, "anchor": str(anchored)} for detail in losses.details(key)]


def _find_unreadable(conn: Connection) -> dict[int, str]:
    """What waits and no key opens any more, with the digest of its bytes. Raises SealError."""
    stored = type_coerce(audit_pending.c.document, LargeBinary)
    found = {}
    for seq, sealed in conn.execute(select(audit_pending.c.seq, stored).order_by(audit_pending.c.seq)):
        try:
            sealing.unseal(conn.dialect, bytes(sealed), "audit_pending.document")
        except SealBroken:
            found[seq] = hashlib.sha256(sealed).hexdigest()
    return found


def _check(conn: Connection, event: Row[Any], last: Head, given_up: frozenset[int]) -> Note | None:
    """What the event says, if it stands on `last`; None: its key was given up. Raises AuditBroken, SealError."""
    if event.seq != last.seq + 1:
        raise AuditBroken(last.seq + 1, "an event is missing")
    if event.prev != last.hash:
        raise AuditBroken(event.seq, "it doesn't stand on the one before it")
    if sealing.key_of(stored := bytes(event.stored)) in given_up:
        return None
    document = sealing.unseal(conn.dialect, stored, _PLACE)
    if event.hash != link(last.hash, event.seq, event.at, document):
        raise AuditBroken(event.seq, "its hash isn't that of its content")
    try:
        told = read(document, event.at)
    except ValueError:
        raise AuditBroken(event.seq, "its document can't be read") from None
    columns = (told.what, clean(told.actor), clean(_entity(told)))
    if (event.what, event.actor, event.entity) != columns or event.patient not in (None, clean(told.patient)):
        raise AuditBroken(event.seq, "its columns don't say what its document says")
    return told


def anchor(conn: Connection, last: Head, *, at: datetime, reason: str) -> None:
    """The events up to `last` go: what comes after stands on this row, and the chain says so itself."""
    conn.execute(insert(audit_anchors), {"seq": last.seq, "hash": last.hash, "at": at, "reason": reason})
    detail = {"seq": str(last.seq), "hash": last.hash.hex(), "reason": reason}
    note(conn, [Note(at=at, what=What.CHAIN_ANCHORED, detail=detail)])


def allow_purge(conn: Connection) -> None:
    """Let this transaction take events, and seal them anew. PostgreSQL refuses every other one to."""
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("SET LOCAL radbridge.purge = 'on'")


def chained(conn: Connection, *, after: int = 0, at_most: int = _CHUNK) -> list[Chained]:
    """The events that follow `after`."""
    return list(_open(conn, _EVENTS.where(audit_events.c.seq > after).limit(at_most)))


def of_case(conn: Connection, accession: str) -> list[Chained]:
    """What the chain says of an accession number, of any issuer."""
    found = _find(conn, audit_events.c.entity.in_((clean(accession), _MANY)))
    return [event for event in found if clean(accession) in _accessions(event.note)]


def of_patient(conn: Connection, number: str) -> list[Chained]:
    """What the chain says of a patient's number, of any issuer. Of events older than 0010 every document is read."""
    wanted, patient = clean(number), audit_events.c.patient
    found = _find(conn, or_(patient == wanted, patient.is_(None)))
    return [event for event in found if clean(event.note.patient) == wanted]


def count_nameless(conn: Connection) -> int:
    """Events older than 0010 whose key was given up: whose they are is known no more."""
    if not (given_up := keys.lost(conn)):
        return 0
    query = _EVENTS.where(audit_events.c.patient.is_(None)).execution_options(yield_per=_CHUNK)
    return sum(sealing.key_of(bytes(row.stored)) in given_up for row in conn.execute(query))


def _find(conn: Connection, condition: ColumnElement[bool]) -> Iterator[Chained]:
    return _open(conn, _EVENTS.where(condition).execution_options(yield_per=_CHUNK))


def _open(conn: Connection, query: Select[Any]) -> Iterator[Chained]:
    """The events; of one whose key was given up, what its columns say. Raises SealError."""
    given_up = keys.lost(conn)
    for row in conn.execute(query):
        stored = bytes(row.stored)
        key = sealing.key_of(stored)
        made = _outside(row, key) if key in given_up else read(sealing.unseal(conn.dialect, stored, _PLACE), row.at)
        yield Chained(seq=row.seq, note=made, hash=row.hash)


def _outside(row: Row[Any], key: int) -> Note:
    entity = CaseKey(accession=row.entity) if row.entity not in ("", _MANY) else None
    detail = {"lost": f"sealed with key {key}, which was given up"}
    return Note(
        at=row.at, what=What(row.what), actor=row.actor, entity=entity, patient=row.patient or "", detail=detail
    )


def _entity(made: Note) -> str:
    """What an event is found by."""
    return made.entity.accession if made.entity else _MANY if made.cases else ""


def _accessions(made: Note) -> set[str]:
    return {clean(case.accession) for case in (made.entity, *made.cases) if case is not None}


def _rows(conn: Connection, after: int) -> Iterator[Row[Any]]:
    """The events that follow `after`, some at a time: a chain is longer than the memory is large."""
    while True:
        rows = conn.execute(_EVENTS.where(audit_events.c.seq > after).limit(_CHUNK)).all()
        if not rows:
            return
        yield from rows
        after = rows[-1].seq


def _before(conn: Connection, start: int) -> Head:
    """What event `start` stands on, by its own word."""
    prev = conn.execute(select(audit_events.c.prev).where(audit_events.c.seq == start)).scalar()
    if prev is None:
        raise AuditBroken(start, "there is no such event")
    return Head(seq=start - 1, hash=prev)


def _tells(told: Note, anchored: Head) -> bool:
    """Whether it is the note of that anchor, or of a key given up while it was the anchor: that one may be lost."""
    if told.what is What.KEY_ROTATED:
        return told.detail.get("anchor") == str(anchored)
    said = (told.detail.get("seq"), told.detail.get("hash"))
    return told.what is What.CHAIN_ANCHORED and said == (str(anchored.seq), anchored.hash.hex())


def _waiting(conn: Connection) -> list[Note]:
    """What waits to be chained and can be read."""
    lost = _find_unreadable(conn)
    rows = select(audit_pending.c.at, audit_pending.c.document).where(audit_pending.c.seq.not_in(lost))
    return [read(row.document, row.at) for row in conn.execute(rows.order_by(audit_pending.c.seq))]
