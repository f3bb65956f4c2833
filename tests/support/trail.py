"""Notes for tests, and a journal's tables without a gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from radbridge.audit import Note, What
from radbridge.case import CaseKey

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


def make_note(number: int = 0, what: What = What.CASE_CHANGED, **told: object) -> Note:
    at = NOON + timedelta(seconds=number)
    return Note(
        **{"at": at, "what": what, "entity": CaseKey(accession=f"A{number}", issuer="RIS"), "patient": "900001", **told}  # type: ignore[arg-type]  # a test says what it wants
    )
