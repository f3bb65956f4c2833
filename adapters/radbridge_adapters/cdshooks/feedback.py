"""What became of cards: CDS Hooks 2.0, "Feedback". Silence is no outcome, and accepted is not signed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from radbridge.audit import Note
from radbridge.draft import DraftImpression
from radbridge.journal import audit
from radbridge.journal.schema import cds_cards, draft_feedback
from radbridge.journal.upsert import insert as insert_or_keep
from radbridge_adapters.cdshooks.card import card_id
from radbridge_adapters.resources.json import read_json
from radbridge_adapters.resources.outcome import Issue, Issues
from radbridge_adapters.resources.times import read_moment

SOURCE = "cdshooks"
ACCEPTED, OVERRIDDEN = "accepted", "overridden"
MAX_OUTCOMES = 100
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What somebody did about one card. A comment that came along is free text, so it is not kept."""

    card: str
    outcome: str
    reason_code: str
    at: datetime


def parse_feedback(raw: bytes) -> list[Outcome]:
    """The outcomes in `raw`. Raises Issues (400) with everything that is wrong."""
    told = read_json(raw).get("feedback")
    if not isinstance(told, list) or not 0 < len(told) <= MAX_OUTCOMES:
        problem = f"a list of 1 to {MAX_OUTCOMES} outcomes is needed"
        raise Issues([Issue(code="structure", expression="feedback", diagnostics=problem)], status=400)
    issues = [issue for index, one in enumerate(told) for issue in _check(one, f"feedback[{index}]")]
    if issues:
        raise Issues(issues, status=400)
    return [_read(one) for one in told]


def _check(one: Any, place: str) -> Iterator[Issue]:
    if not isinstance(one, dict):
        yield Issue(code="structure", expression=place, diagnostics="an object is needed")
        return
    if not isinstance(one.get("card"), str):
        yield Issue(code="required", expression=f"{place}.card", diagnostics="the card's uuid is needed")
    if one.get("outcome") not in (ACCEPTED, OVERRIDDEN):
        yield Issue(code="value", expression=f"{place}.outcome", diagnostics="either accepted or overridden")
    if one.get("outcome") == ACCEPTED and not _names_suggestions(one.get("acceptedSuggestions")):
        yield Issue(code="required", expression=f"{place}.acceptedSuggestions", diagnostics="a list of {id} is needed")
    if _time_of(one) is None:
        yield Issue(code="value", expression=f"{place}.outcomeTimestamp", diagnostics="an ISO 8601 time is needed")


def _names_suggestions(told: Any) -> bool:
    return (
        isinstance(told, list)
        and bool(told)
        and all(isinstance(s, dict) and isinstance(s.get("id"), str) for s in told)
    )


def _read(one: Mapping[str, Any]) -> Outcome:
    match one.get("overrideReason"):
        case {"reason": {"code": str() as code}} if _CODE.fullmatch(code):
            reason = code
        case _:
            reason = ""
    return Outcome(card=one["card"], outcome=one["outcome"], reason_code=reason, at=_time_of(one) or datetime.now(UTC))


def _time_of(one: Mapping[str, Any]) -> datetime | None:
    try:
        return read_moment(one["outcomeTimestamp"])
    except (KeyError, TypeError, ValueError):
        return None


def remember(conn: Connection, cards: Sequence[tuple[DraftImpression, Note]]) -> list[None]:
    """Note which draft each card shows, and to whom, before it is shown."""
    now = datetime.now(UTC)
    rows = [{"uuid": card_id(draft), "draft_id": draft.id, "at": now} for draft, _ in cards]
    audit.note(conn, [note for _, note in cards])
    conn.execute(insert_or_keep(cds_cards).on_conflict_do_nothing(), rows)
    return [None] * len(rows)


def record(conn: Connection, told: Sequence[Sequence[Outcome]]) -> list[int]:
    """Keep outcomes beside their drafts; of several about one card the last counts. How many were of unknown cards."""
    return [sum(not _record(conn, outcome) for outcome in outcomes) for outcomes in told]


def _record(conn: Connection, outcome: Outcome) -> bool:
    draft_id = conn.execute(select(cds_cards.c.draft_id).where(cds_cards.c.uuid == outcome.card)).scalar()
    if draft_id is None:
        return False
    row = {"outcome": outcome.outcome, "reason_code": outcome.reason_code, "at": outcome.at}
    conn.execute(insert(draft_feedback), {"draft_id": draft_id, "source": SOURCE} | row)
    return True
