"""Draft requests (at most one a case) and the drafts that answered them."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, and_, bindparam, delete, exists, select, update
from sqlalchemy import insert as plain_insert

from radbridge.case import CaseKey, CaseState
from radbridge.draft import DraftImpression, DraftState, StoredDraft
from radbridge.journal.buckets import BUCKETS, bucket_of
from radbridge.journal.schema import cases, draft_requests, drafts
from radbridge.journal.types import clean
from radbridge.journal.upsert import insert

_DRAFT = TypeAdapter(DraftImpression)
_REQUEST = insert(draft_requests)
_ASK = _REQUEST.on_conflict_do_update(
    index_elements=["issuer", "accession"],
    set_={c: _REQUEST.excluded[c] for c in ("revision", "requested_at", "ready_at", "urgent", "trace")},
)
_OF_CASE = (drafts.c.accession == bindparam("in_accession")) & (drafts.c.issuer == bindparam("in_issuer"))
_REQUEST_OF_CASE = (draft_requests.c.accession == bindparam("in_accession")) & (
    draft_requests.c.issuer == bindparam("in_issuer")
)
_OUTSTANDING = (
    select(draft_requests)
    .where(draft_requests.c.urgent == bindparam("is_urgent"))
    .order_by(draft_requests.c.ready_at)
    .limit(bindparam("at_most"))
)
_OUTSTANDING_OF = _OUTSTANDING.where(draft_requests.c.bucket.in_(bindparam("buckets", expanding=True)))
_REVISION = select(draft_requests.c.revision).where(_REQUEST_OF_CASE)
_FORGET = delete(draft_requests).where(_REQUEST_OF_CASE)
_ADD = plain_insert(drafts)
_CURRENT = select(drafts).where(_OF_CASE, drafts.c.state == DraftState.CURRENT).order_by(drafts.c.seq.desc())
_CURRENT_ID = _CURRENT.with_only_columns(drafts.c.id)
_ALL = select(drafts).where(_OF_CASE).order_by(drafts.c.seq)
_later = drafts.alias("later")
_BLOCKED = (
    select(drafts)
    .where(
        drafts.c.state == DraftState.BLOCKED,
        exists().where(
            and_(
                cases.c.accession == drafts.c.accession,
                cases.c.issuer == drafts.c.issuer,
                cases.c.state == CaseState.OPEN,
            )
        ),
        ~exists().where(
            and_(
                _later.c.accession == drafts.c.accession,
                _later.c.issuer == drafts.c.issuer,
                _later.c.seq > drafts.c.seq,
            )
        ),
    )
    .order_by(drafts.c.seq.desc())
    .limit(bindparam("at_most"))
)
_BY_ID = select(drafts).where(drafts.c.id == bindparam("draft_id"))
_CLOSE = (
    update(drafts)
    .where(drafts.c.id == bindparam("draft_id"))
    .values(state=bindparam("to_state"), reason=bindparam("because"))
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A case whose text waits for a draft."""

    key: CaseKey
    revision: str
    requested_at: datetime
    ready_at: datetime
    """Not before: the text has to rest first."""
    urgent: bool = False
    """The findings mention a critical finding: it goes before those that don't."""
    trace: str = ""
    """The W3C `traceparent` that its draft goes on under."""


def ask(
    conn: Connection,
    key: CaseKey,
    *,
    requested_at: datetime,
    ready_at: datetime,
    urgent: bool = False,
    trace: str = "",
) -> None:
    """Ask for a draft of the case's present text; an earlier request of the case is replaced."""
    conn.execute(
        _ASK,
        {
            "issuer": key.issuer,
            "accession": key.accession,
            "revision": secrets.token_hex(8),
            "requested_at": requested_at,
            "ready_at": ready_at,
            "urgent": urgent,
            "bucket": bucket_of(clean(key.accession)),
            "trace": trace,
        },
    )


def outstanding(
    conn: Connection, *, urgent: bool, at_most: int, buckets: Collection[int] | None = None
) -> list[Request]:
    """The requests that are ready first, of those that are urgent or of those that aren't; None: of all buckets."""
    asked: dict[str, Any] = {"is_urgent": urgent, "at_most": at_most}
    if buckets is None or len(buckets) == BUCKETS:
        rows = conn.execute(_OUTSTANDING, asked)
    else:
        rows = conn.execute(_OUTSTANDING_OF, asked | {"buckets": sorted(buckets)})
    return [
        Request(
            key=CaseKey(accession=r.accession, issuer=r.issuer),
            revision=r.revision,
            requested_at=r.requested_at,
            ready_at=r.ready_at,
            urgent=r.urgent,
            trace=r.trace,
        )
        for r in rows
    ]


def is_asked(conn: Connection, key: CaseKey, revision: str) -> bool:
    """Whether this very request still stands."""
    return conn.execute(_REVISION, _in(key)).scalar() == revision


def forget(conn: Connection, key: CaseKey) -> None:
    """The case wants no draft any more, or has got one."""
    conn.execute(_FORGET, _in(key))


def add(conn: Connection, key: CaseKey, draft: DraftImpression, state: DraftState, reason: str = "") -> None:
    """Store a draft."""
    conn.execute(
        _ADD,
        {
            "id": draft.id,
            "issuer": key.issuer,
            "accession": key.accession,
            "findings_digest": draft.findings_digest,
            "signer": draft.signer,
            "state": state,
            "reason": reason,
            "document": _DRAFT.dump_json(draft),
            "made_at": draft.made_at,
        },
    )


def current(conn: Connection, key: CaseKey) -> DraftImpression | None:
    """The draft that stands for the case."""
    row = conn.execute(_CURRENT, _in(key)).first()
    return None if row is None else _DRAFT.validate_json(row.document)


def current_id(conn: Connection, key: CaseKey) -> str | None:
    """Whose it is, also where the draft itself can't be opened any more."""
    return conn.execute(_CURRENT_ID, _in(key)).scalar()


def of_case(conn: Connection, key: CaseKey) -> list[StoredDraft]:
    """Every draft of the case, oldest first."""
    return [_stored(r) for r in conn.execute(_ALL, _in(key))]


def by_id(conn: Connection, draft_id: str) -> StoredDraft | None:
    """One draft."""
    row = conn.execute(_BY_ID, {"draft_id": draft_id}).first()
    return None if row is None else _stored(row)


def read_draft(document: bytes) -> DraftImpression:
    """The draft of a document. Raises pydantic's ValidationError."""
    return _DRAFT.validate_json(document)


def blocked(conn: Connection, at_most: int) -> list[StoredDraft]:
    """The last drafts of open cases that the guard kept back, newest first."""
    return [_stored(r) for r in conn.execute(_BLOCKED, {"at_most": at_most})]


def close(conn: Connection, draft_id: str, state: DraftState, reason: str) -> None:
    """The draft stands no more."""
    conn.execute(_CLOSE, {"draft_id": draft_id, "to_state": state, "because": reason})


def _in(key: CaseKey) -> dict[str, str]:
    return {"in_accession": key.accession, "in_issuer": key.issuer}


def _stored(row: Row[Any]) -> StoredDraft:
    return StoredDraft(
        key=CaseKey(accession=row.accession, issuer=row.issuer),
        draft=_DRAFT.validate_json(row.document),
        state=DraftState(row.state),
        reason=row.reason,
    )
