"""What is kept no longer: rows that are old enough, kind by kind, some hundred in a transaction.

    for kind in KINDS:
        while rows := look(reader, kind, cut):
            take(writer, kind, cut, rows)

Each kind says what goes, so that a dry run counts exactly what a run would take. What is still worked on never goes: a
message that waits, an open case, a draft that stands, a delivery on its way, an event that no auditor has got yet.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.engine import make_url

from radbridge.audit import OURSELVES, Note, What, in_parts
from radbridge.case import CaseKey, CaseState
from radbridge.config.retention import Retention
from radbridge.draft import DraftState
from radbridge.journal import audit
from radbridge.journal.audit import SYSLOG, Head
from radbridge.journal.locks import Lock, hold
from radbridge.journal.schema import (
    DeliveryState,
    MemoryState,
    MessageState,
    audit_anchors,
    audit_events,
    cases,
    cds_cards,
    cursors,
    deliveries,
    dicom_instances,
    dicom_steps,
    dicom_studies,
    dicom_waiting,
    draft_feedback,
    draft_requests,
    drafts,
    edits,
    fhir_jobs,
    fhircast_contexts,
    memory,
    messages,
    resource_index,
    resource_versions,
    resources,
    subscription_events,
)

AT_ONCE: Final = 200
"""Rows in one transaction."""
_AUDIT_EVENT: Final = "AuditEvent"
_SUBSCRIPTION: Final = "Subscription"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Before when each kind goes, as a site says."""

    retention: Retention
    now: datetime
    syslog: bool = False
    """Whether an audit repository gets the trail: what it hasn't got stays."""
    actor: str = OURSELVES
    """Who purges, for the trail."""
    via: str = ""

    def before(self, days: int) -> datetime:
        """So many days ago."""
        return self.now - timedelta(days=days)


Find = Callable[[Cut], Select[Any]]
"""All that may go, by their keys first."""
Remove = Callable[[Connection, Sequence[Row[Any]], Cut], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of rows that may go."""

    name: str
    days: Callable[[Retention], int]
    key: tuple[Column[Any], ...]
    find: Find
    again: Find
    """The same without what takes long to find out, for the moment when they go."""
    remove: Remove
    lock: Lock | None = None
    """What whoever brings them back to life holds too; by accession where it is of cases."""


def count(conn: Connection, cut: Cut) -> dict[str, int]:
    """What a purge would take now, by kind."""
    return {kind.name: _count(conn, kind, cut) for kind in KINDS if kind.days(cut.retention)}


def look(conn: Connection, kind: Kind, cut: Cut) -> list[Row[Any]]:
    """The keys of some that may go; empty: there are no more. A reader asks: it may take a while."""
    if not kind.days(cut.retention):
        return []
    return list(conn.execute(kind.find(cut).limit(AT_ONCE)).all())


def take(conn: Connection, kind: Kind, cut: Cut, rows: Sequence[Row[Any]]) -> int:
    """Take those of them that may still go; how many. It is noted with them: a run may be broken off."""
    if kind.lock is not None:
        hold(conn, kind.lock, [row.accession if kind.lock is Lock.CASE else "" for row in rows])
    keys = [tuple(row[: len(kind.key)]) for row in rows]
    found = conn.execute(kind.again(cut).where(_among(kind.key, keys))).all()
    if found:
        named = _cases_of(conn, kind, found)
        kind.remove(conn, found, cut)
        detail = {"kind": kind.name, "rows": str(len(found))}
        note = Note(at=datetime.now(UTC), what=What.PURGED, actor=cut.actor, via=cut.via, detail=detail)
        first, *more = in_parts(note, named)
        audit.note(conn, [first, *(replace(one, detail=detail | {"rows": "0"}) for one in more)])
    return len(found)


def _cases_of(conn: Connection, kind: Kind, rows: Sequence[Row[Any]]) -> list[CaseKey]:
    """Whose rows these are: of a note that outlives them, by accession alone, for no patient is to be kept by it."""
    table = kind.key[0].table
    if "accession" not in table.c:
        return []
    issuer = table.c.issuer if "issuer" in table.c else literal("")
    keys = [tuple(row[: len(kind.key)]) for row in rows]
    query = select(table.c.accession, issuer.label("issuer")).where(_among(kind.key, keys), table.c.accession != "")
    found = conn.execute(query.distinct().order_by(table.c.accession))
    return [CaseKey(accession=row.accession, issuer=row.issuer) for row in found]


def finish(url: str) -> None:
    """Let go of what the write-ahead log still holds of rows that are gone. PostgreSQL's VACUUM does it there."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        with closing(sqlite3.connect(parsed.database, timeout=30.0)) as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _count(conn: Connection, kind: Kind, cut: Cut) -> int:
    found: int = conn.execute(select(func.count()).select_from(kind.find(cut).subquery())).scalar_one()
    return found


def _among(columns: Sequence[ColumnElement[Any]], keys: Sequence[tuple[Any, ...]]) -> ColumnElement[bool]:
    """Whether a row has one of the keys. By each column apart too: for a row of columns SQLite uses no index."""
    apart = [column.in_({key[place] for key in keys}) for place, column in enumerate(columns)]
    return and_(*apart, tuple_(*columns).in_(keys)) if len(columns) > 1 else apart[0]


def _kind(
    name: str,
    days: Callable[[Retention], int],
    *key: Column[Any],
    by: Column[datetime] | Find,
    only: Sequence[ColumnElement[bool]] = (),
    again: Find | None = None,
    remove: Remove | None = None,
    lock: Lock | None = None,
) -> Kind:
    """What is found in a way of its own, or by its age, where it fulfils `only`."""

    def find_old(cut: Cut) -> Select[Any]:
        return select(*key).where(cast("Column[datetime]", by) < cut.before(days(cut.retention)), *only)

    def remove_them(conn: Connection, rows: Sequence[Row[Any]], _: Cut) -> None:
        conn.execute(delete(key[0].table).where(_among(key, [tuple(row) for row in rows])))

    find = find_old if isinstance(by, Column) else by
    return Kind(name=name, days=days, key=key, find=find, again=again or find, remove=remove or remove_them, lock=lock)


# Messages: their bytes go first; the row stays for as long as they may come again. Dead letters wait for a person.
_WAITING = (MessageState.ACCEPTED, MessageState.FAILED, MessageState.QUARANTINED)
_UNDELIVERED = (DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.REFUSED)


def _find_messages(cut: Cut) -> Select[Any]:
    old = and_(
        messages.c.state.not_in(_WAITING),
        messages.c.received_at < cut.before(cut.retention.messages_d),
        ~exists().where(memory.c.accession == messages.c.accession, memory.c.state == MemoryState.WAITING),
    )
    is_known_no_more = messages.c.received_at < cut.before(cut.retention.dedupe_d)
    has_bytes = or_(messages.c.raw != b"", messages.c.accession != "", messages.c.touches != "")
    return select(messages.c.id, is_known_no_more.label("goes")).where(old, or_(has_bytes, is_known_no_more))


def _remove_messages(conn: Connection, rows: Sequence[Row[Any]], cut: Cut) -> None:
    ids = [row.id for row in rows]
    conn.execute(delete(dicom_waiting).where(dicom_waiting.c.message_id.in_(ids)))
    conn.execute(delete(messages).where(messages.c.id.in_([row.id for row in rows if row.goes])))
    empty = {"raw": b"", "reply": None, "accession": "", "touches": "", "reason": ""}
    conn.execute(update(messages).where(messages.c.id.in_([row.id for row in rows if not row.goes])).values(empty))


# Cases, with what hangs on them.


def _of_case(table: Table) -> Select[Any]:
    return select(table.c.accession).where(table.c.accession == cases.c.accession, table.c.issuer == cases.c.issuer)


_OF_CASES = (deliveries, edits, draft_requests, dicom_studies, dicom_instances, fhircast_contexts, fhir_jobs)


def _remove_cases(conn: Connection, rows: Sequence[Row[Any]], cut: Cut) -> None:
    keys = [(row.accession, row.issuer) for row in rows]
    _remove_drafts_where(conn, _among((drafts.c.accession, drafts.c.issuer), keys))
    for table in _OF_CASES:
        conn.execute(delete(table).where(_among((table.c.accession, table.c.issuer), keys)))
    conn.execute(delete(cases).where(_among((cases.c.accession, cases.c.issuer), keys)))


# Drafts that don't stand.


def _remove_drafts(conn: Connection, rows: Sequence[Row[Any]], cut: Cut) -> None:
    _remove_drafts_where(conn, drafts.c.id.in_([row.id for row in rows]))


def _remove_drafts_where(conn: Connection, condition: ColumnElement[bool]) -> None:
    ids = conn.execute(select(drafts.c.id).where(condition)).scalars().all()
    for table in (cds_cards, draft_feedback, deliveries):
        conn.execute(delete(table).where(table.c.draft_id.in_(ids)))
    conn.execute(delete(drafts).where(drafts.c.id.in_(ids)))


# FHIR: versions that aren't the newest, then resources that nothing refers to.

_newest = resources.alias("newest")
_listed = resources.alias("listed")


def _remove_versions(conn: Connection, rows: Sequence[Row[Any]], cut: Cut) -> None:
    _remove_versions_where(conn, [row.seq for row in rows])


def _is_over() -> ColumnElement[bool]:
    """Whether it isn't a Subscription that still works, which is how we work and not what was known of somebody."""
    i = resource_index
    over = select(i.c.id).where(i.c.type == _SUBSCRIPTION, i.c.param == "status", i.c.value.in_(("off", "error")))
    return or_(resources.c.type != _SUBSCRIPTION, resources.c.id.in_(over))


def _old_resources(cut: Cut) -> Select[Any]:
    r = resources
    old = r.c.at < cut.before(cut.retention.fhir_d)
    return select(r.c.type, r.c.id, r.c.seq).where(old, _is_over(), ~_is_awaited(r.c.seq))


def _find_resources(cut: Cut) -> Select[Any]:
    """Those that nothing refers to but AuditEvents: who looked at it is no reason to keep it.

    All references are read once, in a table of its own: no index is by value alone.
    """
    r, i = resources, resource_index
    meant = select(i.c.value).where(i.c.value.contains("/"), i.c.type != _AUDIT_EVENT).distinct().subquery("meant")
    named = r.c.type + literal("/") + r.c.id
    unmeant = r.outerjoin(meant, meant.c.value == named)
    return _old_resources(cut).select_from(unmeant).where(meant.c.value.is_(None))


def _remove_resources(conn: Connection, rows: Sequence[Row[Any]], cut: Cut) -> None:
    keys = [(row.type, row.id) for row in rows]
    v = resource_versions
    seqs = conn.execute(select(v.c.seq).where(_among((v.c.type, v.c.id), keys))).scalars().all()
    ended = [row.id for row in rows if row.type == _SUBSCRIPTION]
    conn.execute(delete(subscription_events).where(subscription_events.c.subscription_id.in_(ended)))
    for table in (resource_index, resources):
        conn.execute(delete(table).where(_among((table.c.type, table.c.id), keys)))
    _remove_versions_where(conn, seqs)


def _remove_versions_where(conn: Connection, seqs: Sequence[int]) -> None:
    conn.execute(delete(subscription_events).where(subscription_events.c.version_seq.in_(seqs)))
    conn.execute(delete(resource_versions).where(resource_versions.c.seq.in_(seqs)))


def _is_awaited(seq: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether a subscriber hasn't got it yet; those few are read once."""
    e, listed = subscription_events, select(_listed.c.id).where(_listed.c.type == _SUBSCRIPTION)
    return seq.in_(select(e.c.version_seq).where(e.c.state == "pending", e.c.subscription_id.in_(listed)))


# The audit trail: only ever its beginning.


def _find_audit(cut: Cut) -> Select[Any]:
    e = audit_events
    first_kept = select(func.min(e.c.seq)).where(e.c.at >= cut.before(cut.retention.audit_d)).scalar_subquery()
    goes: list[ColumnElement[bool]] = [func.coalesce(e.c.seq < first_kept, True)]
    if cut.syslog:
        told = select(cursors.c.seq).where(cursors.c.name == SYSLOG).scalar_subquery()
        goes.append(e.c.seq <= func.coalesce(told, 0))
    return select(e.c.seq).where(*goes).order_by(e.c.seq)


def _remove_audit(conn: Connection, rows: Sequence[Row[Any]], cut: Cut) -> None:
    last = rows[-1].seq
    digest = conn.execute(select(audit_events.c.hash).where(audit_events.c.seq == last)).scalar_one()
    audit.anchor(conn, Head(seq=last, hash=digest), at=cut.now, reason="retention")
    audit.allow_purge(conn)
    conn.execute(delete(audit_anchors).where(audit_anchors.c.seq < last))
    conn.execute(delete(audit_events).where(audit_events.c.seq <= last))


_v, _context = resource_versions.c, fhircast_contexts.c
_IS_NEWEST = exists().where(_newest.c.type == _v.type, _newest.c.id == _v.id, _newest.c.version == _v.version)
_IS_AWAITED_BY_MEMORY = exists().where(
    memory.c.accession == cases.c.accession,
    memory.c.issuer == cases.c.issuer,
    memory.c.state == MemoryState.WAITING,
)
_IS_UNDELIVERED = _of_case(deliveries).where(deliveries.c.state.in_(_UNDELIVERED)).correlate(cases).exists()
_HAS_UNDELIVERED = exists().where(deliveries.c.draft_id == drafts.c.id, deliveries.c.state.in_(_UNDELIVERED))

KINDS: Final[Sequence[Kind]] = (
    _kind("messages", lambda r: r.messages_d, messages.c.id, by=_find_messages, remove=_remove_messages),
    _kind(
        "cases",
        lambda r: r.cases_d,
        cases.c.accession,
        cases.c.issuer,
        by=cases.c.updated_at,
        only=(cases.c.state != CaseState.OPEN, ~_IS_UNDELIVERED, ~_IS_AWAITED_BY_MEMORY),
        remove=_remove_cases,
        lock=Lock.CASE,
    ),
    _kind("dicom_steps", lambda r: r.cases_d, dicom_steps.c.sop_uid, by=dicom_steps.c.updated_at),
    _kind("fhircast_contexts", lambda r: r.cases_d, _context.hub, _context.topic_digest, by=_context.updated_at),
    _kind(
        "drafts",
        lambda r: r.drafts_d,
        drafts.c.id,
        by=drafts.c.made_at,
        only=(drafts.c.state != DraftState.CURRENT, ~_HAS_UNDELIVERED),
        remove=_remove_drafts,
    ),
    _kind(
        "memory",
        lambda r: r.examples_d,
        memory.c.number,
        by=memory.c.signed_at,
        only=(memory.c.state == MemoryState.KEPT,),
    ),
    _kind("edits", lambda r: r.examples_d, edits.c.seq, by=edits.c.signed_at),
    _kind(
        "fhir_versions",
        lambda r: r.fhir_d,
        _v.seq,
        by=_v.at,
        only=(~_IS_NEWEST, ~_is_awaited(_v.seq)),
        remove=_remove_versions,
    ),
    _kind(
        "fhir_resources",
        lambda r: r.fhir_d,
        resources.c.type,
        resources.c.id,
        by=_find_resources,
        again=_old_resources,
        remove=_remove_resources,
        lock=Lock.FHIR,
    ),
    _kind("audit", lambda r: r.audit_d, audit_events.c.seq, by=_find_audit, remove=_remove_audit, lock=Lock.AUDIT),
)
"""In this order: what hangs on a case goes with it."""


def tell(counts: Mapping[str, int]) -> dict[str, str]:
    """The counts as an audit note's detail."""
    return {name: str(rows) for name, rows in counts.items() if rows}
