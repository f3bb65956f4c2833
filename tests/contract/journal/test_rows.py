"""Cases, deliveries and events as rows: what goes in comes out, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from radbridge.case import Case, CaseKey, Patient, ReportText, Sex
from radbridge.journal import Journal, cases, deliveries, heads, lora_events
from radbridge.journal.heads import Lines
from radbridge.journal.lora_events import LoraEvent
from radbridge.journal.schema import DeliveryState, LoraAction, Purpose
from tests.support.journals import KEY, on_each, save

pytestmark = on_each
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LORA_EVENT = LoraEvent(
    at=NOON,
    owner="rad/900001",
    version="rad/900001@v1-0123456789ab",
    action=LoraAction.PUBLISHED,
    actor="trainer",
)


async def test_case_survives_the_journal(journal: Journal) -> None:
    """A case comes back from the journal as it went in."""
    case = Case(
        key=KEY,
        patient=Patient(id="900001", name="DOE^JANE", birth_date=NOON.date(), sex=Sex.FEMALE, other_ids=("1", "2")),
        report=ReportText(findings="Clear lungs — no effusion."),
        dictated_at=NOON,
    )

    await journal.write(save, case)
    assert journal.read_now(lambda conn: cases.load(conn, KEY)) == case
    assert journal.read_now(lambda conn: cases.of_patient(conn, "900001", "")) == [case]
    assert journal.read_now(lambda conn: list(cases.mentioning(conn, "2"))) == [case]
    assert journal.read_now(lambda conn: cases.load(conn, CaseKey(accession="A1", issuer="OTHER"))) is None


async def test_an_issuer_named_by_one_side(journal: Journal) -> None:
    """A message that names no issuer finds the one case of its accession and patient, and never somebody else's."""

    def find(issuer: str, patient_id: str) -> Case | None:
        return journal.read_now(lambda conn: cases.find(conn, CaseKey(accession="A1", issuer=issuer), patient_id))

    case = Case(key=KEY, patient=Patient(id="900001"))
    await journal.write(save, case)
    assert find("", "900001") == find("", "") == find("HOSP", "900002") == case
    assert find("", "900002") is None
    assert find("OTHER", "900001") is None
    await journal.write(save, Case(key=CaseKey(accession="A1", issuer="OTHER"), patient=Patient(id="900001")))
    assert find("", "900001") is None


async def test_deliveries_of_a_case_stay_in_order(journal: Journal) -> None:
    """A case's second delivery isn't due before its first is through; another case's may overtake."""

    def queue(conn: Connection, items: Sequence[tuple[CaseKey, str]]) -> list[None]:
        for key, draft_id in items:
            deliveries.put(conn, ["d"], Purpose.DRAFT, key, draft_id, at=NOON)
        return [None] * len(items)

    other = CaseKey(accession="A2")
    for key, draft_id in ((KEY, "D1"), (KEY, "D2"), (other, "D3")):
        await journal.write(queue, (key, draft_id))

    def due() -> deliveries.Delivery:
        found = journal.read_now(lambda conn: heads.look(conn, Lines(destination="d"))).other
        assert found is not None
        return found.delivery

    def later(conn: Connection, items: Sequence[deliveries.Delivery]) -> list[None]:
        for delivery in items:
            deliveries.retry(conn, delivery, at=NOON.replace(hour=13), answer="AE")
        return [None] * len(items)

    def through(conn: Connection, items: Sequence[deliveries.Delivery]) -> list[None]:
        for delivery in items:
            deliveries.end(conn, delivery, DeliveryState.CONFIRMED, "AA")
        return [None] * len(items)

    first = due()
    assert first.draft_id == "D1"
    await journal.write(later, first)
    assert due().draft_id == "D3"
    await journal.write(through, due())
    assert due().draft_id == "D1"
    await journal.write(through, first)
    assert due().draft_id == "D2"


async def test_what_happened_to_loras_is_told_in_order(journal: Journal) -> None:
    """An owner's events come back as they went in, oldest first, and nobody else's with them."""
    promoted = replace(LORA_EVENT, action=LoraAction.PROMOTED, reason="gate passed")
    for event_ in (LORA_EVENT, replace(LORA_EVENT, owner="rad/900002"), promoted):
        await journal.write(lora_events.record, event_)
    assert journal.read_now(lambda conn: lora_events.of_owner(conn, "rad/900001")) == [LORA_EVENT, promoted]
