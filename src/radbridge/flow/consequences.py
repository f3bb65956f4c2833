"""What follows from a change of a case, in the transaction that changes it: withdraw, pair, drop, request, remember."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from radbridge.assemble import Consequences, is_urgent
from radbridge.case import Case
from radbridge.draft import DraftState
from radbridge.edit import Edit, compare
from radbridge.flow import noting
from radbridge.guard.critical import mentions_critical
from radbridge.journal import deliveries, drafts, edits, memory, shown, withdrawals
from radbridge.journal.schema import DeliveryState, Purpose
from radbridge.memory import Change
from radbridge.traces import carried


def follow(conn: Connection, case: Case, what: Consequences, *, settle: timedelta) -> Edit | None:
    """Do what a change of a case asks for: withdraw, pair, drop, request; what its signer made of the draft, if any."""
    now = datetime.now(UTC)
    edit = pair(conn, case) if what.signed else None
    if what.withdraw:
        withdraw(conn, case, what.withdraw, at=now)
    if what.drop_examples:
        edits.drop(conn, case.key)
    if what.request:
        urgent = is_urgent(case) or mentions_critical(case.report.findings)
        drafts.ask(conn, case.key, requested_at=now, ready_at=now + settle, urgent=urgent, trace=carried())
    return edit


def keep_memory(conn: Connection, case: Case, change: Change, *, remembers: bool) -> None:
    """Have the style memory follow a case. Only its row changes here: scrubbing takes time and comes later."""
    if change is Change.NOTHING:
        return
    was_there = memory.forget(conn, case.key)
    wanted = change is Change.EXPECT or (change is Change.RENEW and was_there)
    if remembers and wanted and case.signed_at is not None and not withdrawals.is_withdrawn(conn, case):
        memory.expect(conn, case.key, signer=case.signer.id, signed_at=case.signed_at)


def withdraw(conn: Connection, case: Case, why: str, *, at: datetime) -> None:
    """Take the standing draft and any request back."""
    drafts.forget(conn, case.key)
    standing = drafts.current(conn, case.key)
    if standing is not None:
        state = DraftState.SIGNED if why == "report signed" else DraftState.WITHDRAWN
        drafts.close(conn, standing.id, state, why)
        noting.withdrawn(conn, case, standing.id, why)
        deliveries.withdraw(conn, case.key, standing.id, at=at)


_PAIRED = frozenset((DraftState.CURRENT, DraftState.SIGNED, DraftState.BLOCKED))


def pair(conn: Connection, case: Case) -> Edit | None:
    """Store what the signer made of the draft: of the standing one, or for a correction of the one signed over.

    One that was blocked is paired too, and the edit says so: nobody ever edited it.
    """
    followed = next(
        (
            d
            for d in reversed(drafts.of_case(conn, case.key))
            if d.state in _PAIRED and d.draft.findings_digest == case.findings_digest
        ),
        None,
    )
    if followed is None or not case.report.impression or withdrawals.is_withdrawn(conn, case):
        return None
    delivered = shown.was_shown(conn, followed.draft.id) or any(
        d.draft_id == followed.draft.id
        and d.purpose is Purpose.DRAFT
        and d.state is DeliveryState.CONFIRMED
        and d.destination != shown.OWN_STORE
        for d in deliveries.of_case(conn, case.key)
    )
    blocked = followed.state is DraftState.BLOCKED
    edit = compare(case, followed.draft, delivered=delivered, blocked=blocked)
    edits.save(conn, case.key, edit)
    return edit
