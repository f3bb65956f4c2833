"""Outcomes of drafts, for the trials of LoRA versions: what was signed over what, as numbers. No text is passed on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Select, bindparam, func, select

from radbridge.draft import DraftImpression, Severity, Stage
from radbridge.edit import Edit
from radbridge.edit import Outcome as Became
from radbridge.guard.policy import BLOCKING_KINDS
from radbridge.journal.marks import Mark
from radbridge.journal.schema import EditState, drafts, edits
from radbridge.trials import Outcome

_DRAFT = TypeAdapter(DraftImpression)
_EDIT = TypeAdapter(Edit)
_PAIRED = edits.join(drafts, drafts.c.id == edits.c.draft_id)
_COLUMNS = (edits.c.seq, edits.c.document.label("edit"), drafts.c.document.label("draft"))
_THEIRS = (edits.c.state == EditState.KEPT) & (drafts.c.signer == bindparam("of_signer"))
_SINCE = (
    select(*_COLUMNS)
    .select_from(_PAIRED)
    .where(_THEIRS, drafts.c.made_at >= bindparam("moment", type_=drafts.c.made_at.type))
    .order_by(edits.c.seq)
)
_BEFORE = (
    select(*_COLUMNS)
    .select_from(_PAIRED)
    .where(_THEIRS, drafts.c.made_at < bindparam("moment", type_=drafts.c.made_at.type))
    .where(edits.c.seq < bindparam("below"))
    .order_by(edits.c.seq.desc())
)
_SIGNERS = select(drafts.c.signer).select_from(_PAIRED).distinct()
_ABOVE = select(edits.c.seq, drafts.c.signer).select_from(_PAIRED).where(edits.c.seq > bindparam("after"))
_LAST = select(func.max(edits.c.seq))
_AT_ONCE = 50
_BEYOND = 2**63 - 1


def read_outcomes(conn: Connection, radiologist: str, *, since: datetime) -> Iterator[Outcome]:
    """What became of a radiologist's drafts that were made from `since` on, in the order in which they were signed.

    Only drafts that their signer saw, or that the guard kept back: of another nobody knows what it was worth. They are
    read as they are taken: whoever has enough stops.
    """
    return _outcomes(conn, _SINCE, {"of_signer": radiologist, "moment": since})


def read_outcomes_before(
    conn: Connection,
    radiologist: str,
    *,
    before: datetime,
    at_most: int,
    below: int = _BEYOND,
    besides: str = "",
) -> list[Outcome]:
    """The last ones of drafts that were made before a moment, the newest first, of any version but `besides`.

    Only those numbered below `below`, which is the order of signing: a draft that was made before and waits for its
    signature doesn't come in front of the others when it gets one.
    """
    found = _outcomes(conn, _BEFORE, {"of_signer": radiologist, "moment": before, "below": below})
    return list(islice((outcome for outcome in found if outcome.version != besides), at_most))


def signed_since(conn: Connection, mark: Mark, *, now_s: float) -> frozenset[str]:
    """Who signed over a draft since `mark` was asked with last; the first time, whoever ever did."""
    is_first = mark.begin(conn.execute(_LAST).scalar() or 0)
    rows = {row.seq: row.signer for row in conn.execute(_ABOVE, {"after": mark.after})}
    new = mark.take(rows, now_s)
    return frozenset(conn.execute(_SIGNERS).scalars() if is_first else (rows[number] for number in new))


def _outcomes(conn: Connection, query: Select[Any], values: Mapping[str, Any]) -> Iterator[Outcome]:
    with conn.execute(query.execution_options(yield_per=_AT_ONCE), values) as rows:
        for row in rows:
            edit, draft = _EDIT.validate_json(row.edit), _DRAFT.validate_json(row.draft)
            if _tells(edit, draft):
                yield _outcome(row.seq, edit, draft)


def _tells(edit: Edit, draft: DraftImpression) -> bool:
    """A draft that somebody else signed over says nothing of the style that it was written in."""
    return edit.radiologist == draft.signer and (edit.delivered or edit.outcome is Became.BLOCKED)


def _outcome(seq: int, edit: Edit, draft: DraftImpression) -> Outcome:
    blocked = edit.outcome is Became.BLOCKED
    left_out = draft.stage is Stage.COARSE and draft.asked not in ("", "base")
    return Outcome(
        number=seq,
        version=draft.asked or draft.lora,
        at=draft.made_at,
        distance=1.0 if blocked else edit.distance,
        faulty=blocked or left_out or _misleads(draft),
    )


def _misleads(draft: DraftImpression) -> bool:
    """Whether it has a flag that blocks by default: a site may let such drafts out, they are errors all the same."""
    return any(f.severity is Severity.CRITICAL and f.kind in BLOCKING_KINDS for f in draft.flags)
