"""Facts applied to a case, and what follows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.assemble import apply, update_patient, weigh
from radbridge.case import Case, CaseKey, CaseState, Order, Patient, Radiologist, ReportText, Sex, Study
from radbridge.events import (
    CaseEvent,
    OrderCancelled,
    OrderPlaced,
    PatientsMerged,
    PatientUpdated,
    ReportDictated,
    ReportOpened,
    ReportSigned,
    ReportWithdrawn,
)

KEY = CaseKey(accession="A1")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
JANE = Patient(id="900001", sex=Sex.FEMALE)
SIGNER = Radiologist(id="1001")


def dictated(findings: str, signer: Radiologist = SIGNER, patient: Patient = JANE) -> ReportDictated:
    return ReportDictated(key=KEY, at=NOON, patient=patient, report=ReportText(findings=findings), signer=signer)


def signed(impression: str = "Normal.") -> ReportSigned:
    return ReportSigned(key=KEY, at=NOON, report=ReportText(impression=impression), signer=SIGNER)


def test_report_before_order() -> None:
    """A case is the same whichever of order and report comes first."""
    order = OrderPlaced(key=KEY, at=NOON, order=Order(reason="rule out PE"), study=Study(modality="CT"), patient=JANE)
    report = dictated("Clear lungs.")
    assert apply(apply(None, order), report) == apply(apply(None, report), order)


def test_first_findings_request_a_draft() -> None:
    """A dictated, unsigned report asks for a draft and withdraws nothing."""
    what = weigh(None, apply(None, dictated("Clear lungs.")))
    assert what.request
    assert not what.withdraw
    assert not what.signed


@pytest.mark.parametrize(
    ("fact", "reason", "asks_again"),
    [
        (dictated("Left effusion."), "findings changed", True),
        (dictated("Clear lungs.", signer=Radiologist(id="2002")), "another signer", True),
        (dictated("Clear lungs.", patient=Patient(id="900002")), "another patient", True),
        (signed(), "report signed", False),
        (OrderCancelled(key=KEY, at=NOON), "order cancelled", False),
        (ReportWithdrawn(key=KEY, at=NOON, reason="wrong_patient"), "report withdrawn", False),
    ],
)
def test_no_stale_draft(fact: CaseEvent, reason: str, asks_again: bool) -> None:
    """Whatever takes the ground from under a draft withdraws it, and only open cases ask for another."""
    before = apply(None, dictated("Clear lungs."))
    what = weigh(before, apply(before, fact))
    assert (what.withdraw, what.request) == (reason, asks_again)


def test_rewrapped_text_is_the_same_text() -> None:
    """A save that only moves line ends leaves the draft alone."""
    before = apply(None, dictated("Clear lungs.\nNo effusion."))
    what = weigh(before, apply(before, dictated("Clear lungs. No effusion.")))
    assert not what.withdraw
    assert not what.request


def test_wrong_patient_takes_text_and_examples() -> None:
    """After "wrong patient" nothing of the report is left, and nothing may be learned from it."""
    before = apply(apply(None, dictated("Clear lungs.")), signed())
    after = apply(before, ReportWithdrawn(key=KEY, at=NOON, reason="wrong_patient"))
    assert after.report == ReportText()
    assert weigh(before, after).drop_examples


def test_merge_withdraws_and_drafts_anew() -> None:
    """A patient merge withdraws the draft, asks for one under the surviving identity, and remembers the prior one."""
    before = apply(None, dictated("Clear lungs."))
    fact = PatientsMerged(patient=Patient(id="900009"), prior_id="900001", at=NOON)
    after = update_patient(before, fact)
    what = weigh(before, after, merged=True)
    assert (what.withdraw, what.request) == ("patients merged", True)
    assert after.patient.id == "900009"
    assert "900001" in after.patient.other_ids


def test_new_name_keeps_the_draft() -> None:
    """Demographics that a draft doesn't depend on don't withdraw it."""
    before = apply(None, dictated("Clear lungs."))
    after = update_patient(before, PatientUpdated(patient=Patient(id="900001", name="DOE^JANE"), at=NOON))
    assert not weigh(before, after).withdraw


def test_signed_stays_signed() -> None:
    """Text that is dictated after the signature starts no draft and changes no signed report."""
    before = apply(apply(None, dictated("Clear lungs.")), signed("Normal."))
    after = apply(before, dictated("Something else."))
    assert after.report == before.report
    assert after.state is CaseState.SIGNED
    assert not weigh(before, after).request


def test_final_without_text_keeps_the_text() -> None:
    """OBX-11 `U`: now final, text not resent; the earlier text is what was signed."""
    before = apply(None, dictated("Clear lungs."))
    after = apply(before, ReportSigned(key=KEY, at=NOON))
    assert after.report.findings == "Clear lungs."
    assert after.state is CaseState.SIGNED


def test_order_placed_again_reopens() -> None:
    """An order that is cancelled and placed again is drafted for."""
    before = apply(apply(None, dictated("Clear lungs.")), OrderCancelled(key=KEY, at=NOON))
    after = apply(before, OrderPlaced(key=KEY, at=NOON))
    assert weigh(before, after).request


FACTS = st.one_of(
    st.sampled_from(["Clear lungs.", "Left effusion.", "Left effusion, small."]).map(dictated),
    st.sampled_from(["Normal.", "Left effusion."]).map(signed),
    st.just(OrderPlaced(key=KEY, at=NOON)),
    st.just(OrderCancelled(key=KEY, at=NOON)),
    st.just(ReportWithdrawn(key=KEY, at=NOON, reason="deleted")),
)


@given(st.lists(FACTS, max_size=12))
def test_a_draft_stands_only_for_the_present_text(facts: list[CaseEvent]) -> None:
    """Follow any history: whenever a draft stands, its digest is that of an open case's findings."""
    case: Case | None = None
    standing = ""
    for fact in facts:
        after = apply(case, fact)
        what = weigh(case, after)
        if what.withdraw:
            standing = ""
        if what.request:
            standing = after.findings_digest
        case = after
        assert not standing or (case.state is CaseState.OPEN and standing == case.findings_digest)
        assert bool(standing) == (case.state is CaseState.OPEN and bool(case.findings_digest))


def test_an_opened_report_names_its_signer() -> None:
    """Opening tells who signs an open case, begins a case that was unknown, and asks for no draft."""
    opened = ReportOpened(key=KEY, at=NOON, patient=JANE, signer=SIGNER)
    case = apply(None, opened)
    assert (case.signer, case.patient, weigh(None, case).request) == (SIGNER, JANE, False)
    closed = apply(apply(None, dictated("Clear lungs.")), signed())
    assert apply(closed, ReportOpened(key=KEY, at=NOON, signer=Radiologist(id="2002"))).signer == SIGNER
