"""Which drafts somebody was given where sending is not enough to know: a draft in our own store lies there unseen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, exists, insert, select

from radbridge.journal.schema import cds_cards, draft_feedback

OWN_STORE = "fhir"
"""The sink that puts drafts into our own FHIR store: its confirmation says that nobody else has it yet."""
SHOWN = "shown"

_f, _c = draft_feedback, cds_cards
_NOTED = select(_f.c.draft_id).where(_f.c.outcome == SHOWN, _f.c.draft_id.in_(bindparam("of_drafts", expanding=True)))
_OF_DRAFT = (
    select(_f.c.at, _f.c.source, _f.c.outcome, _f.c.reason_code)
    .where(_f.c.draft_id == bindparam("of_draft"))
    .order_by(_f.c.seq)
)
_ANY = select(
    exists().where(_f.c.draft_id == bindparam("of_draft")) | exists().where(_c.c.draft_id == bindparam("of_draft"))
)


def note(conn: Connection, draft_ids: Iterable[str], source: str) -> None:
    """They were read, or a subscriber took them; once a draft."""
    wanted = dict.fromkeys(draft_ids)
    noted = set(conn.execute(_NOTED, {"of_drafts": list(wanted)}).scalars())
    now = datetime.now(UTC)
    rows = [
        {"draft_id": id, "source": source, "outcome": SHOWN, "reason_code": "", "at": now}
        for id in wanted
        if id not in noted
    ]
    if rows:
        conn.execute(insert(draft_feedback), rows)


def was_shown(conn: Connection, draft_id: str) -> bool:
    """Whether anybody read it, was told of it, or said something of it."""
    return bool(conn.execute(_ANY, {"of_draft": draft_id}).scalar())


@dataclass(frozen=True, kw_only=True, slots=True)
class Feedback:
    """What became of a draft in front of somebody."""

    at: datetime
    source: str
    """The wire that told it."""
    outcome: str
    """`shown`, `accepted`, `overridden`, `signed`, `cancelled`."""
    reason_code: str


def of_draft(conn: Connection, draft_id: str) -> list[Feedback]:
    """All that was told of a draft, oldest first."""
    return [Feedback(**row) for row in conn.execute(_OF_DRAFT, {"of_draft": draft_id}).mappings()]
