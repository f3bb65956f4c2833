"""What the main line notes in the audit trail, each in the transaction of what it is about.

Details are fixed words, counts, digests and versions: what a log may hold too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from radbridge.assemble import Consequences
from radbridge.audit import Note, Outcome, What, each
from radbridge.case import Case
from radbridge.draft import DraftImpression, DraftState
from radbridge.events import CaseEvent, Event
from radbridge.journal import audit
from radbridge.journal.deliveries import Delivery
from radbridge.journal.messages import Waiting, subjects_of
from radbridge.journal.schema import MessageState, Purpose

_DIGEST = 12
"""Characters of a digest: enough to tell two apart."""


def taken(conn: Connection, message: Waiting, facts: Sequence[Event]) -> None:
    """A message was applied; of what it said only the kinds of facts."""
    about = next((fact for fact in facts if isinstance(fact, CaseEvent)), None)
    kinds = " ".join(dict.fromkeys(type(fact).__name__ for fact in facts))
    audit.note(
        conn,
        [
            Note(
                at=_now(),
                what=What.MESSAGE_TAKEN,
                via=message.wire,
                entity=about.key if about and about.key.accession else None,
                patient=about.patient.id if about else "",
                detail={"message_id": str(message.id), "kind": message.kind, "facts": kinds},
            )
        ],
    )


def failed(conn: Connection, message: Waiting, state: MessageState) -> None:
    """A message that was acknowledged changes nothing, and waits for a person."""
    detail = {"message_id": str(message.id), "kind": message.kind, "state": state}
    note = Note(at=_now(), what=What.MESSAGE_FAILED, outcome=Outcome.SERIOUS, via=message.wire, detail=detail)
    audit.note(conn, each(note, subjects_of(message.accession, message.touches)))


def changed(conn: Connection, case: Case, what: Consequences) -> None:
    """A case isn't what it was; where its report was signed, that too."""
    at = _now()
    digest = case.findings_digest[:_DIGEST]
    notes = [
        Note(
            at=at,
            what=What.CASE_CHANGED,
            entity=case.key,
            patient=case.patient.id,
            detail={"state": case.state, "findings_digest": digest},
        )
    ]
    if what.signed:
        signer = {"radiologist": case.signer.id, "findings_digest": digest}
        notes.append(
            Note(at=at, what=What.REPORT_SIGNED, entity=case.key, patient=case.patient.id, detail=signer),
        )
    audit.note(conn, notes)


def drafted(conn: Connection, case: Case, draft: DraftImpression, state: DraftState, reason: str = "") -> None:
    """A draft was made, and from what: the model, the weights, the prompt, the findings."""
    what = What.DRAFT_BLOCKED if state is DraftState.BLOCKED else What.DRAFT_MADE
    detail = {
        "draft_id": draft.id,
        "stage": draft.stage,
        "model": draft.model,
        "base_digest": draft.base_digest[:_DIGEST],
        "lora": draft.lora,
        "prompt_version": draft.prompt_version,
        "findings_digest": draft.findings_digest[:_DIGEST],
        "reason": reason,
    }
    told = {key: str(value) for key, value in detail.items() if value}
    audit.note(conn, [Note(at=_now(), what=what, entity=case.key, patient=case.patient.id, detail=told)])


def withdrawn(conn: Connection, case: Case, draft_id: str, why: str) -> None:
    """A draft that stood stands no more."""
    detail = {"draft_id": draft_id, "reason": why}
    audit.note(
        conn, [Note(at=_now(), what=What.DRAFT_WITHDRAWN, entity=case.key, patient=case.patient.id, detail=detail)]
    )


def delivered(conn: Connection, delivery: Delivery, answer: str) -> None:
    """A peer has said yes to a draft, or to its withdrawal."""
    is_draft = delivery.purpose is Purpose.DRAFT
    detail = {
        "draft_id": delivery.draft_id,
        "destination": delivery.destination,
        "purpose": delivery.purpose,
        "attempts": str(delivery.attempts + 1),
        "answer": answer,
    }
    what = What.DRAFT_DELIVERED if is_draft else What.DRAFT_WITHDRAWN
    audit.note(conn, [Note(at=_now(), what=what, via=delivery.destination, entity=delivery.key, detail=detail)])


def _now() -> datetime:
    return datetime.now(UTC)
