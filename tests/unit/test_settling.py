"""Who wins where the RIS and the images tell of one case, in whatever order they do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.assemble import apply, update_patient, weigh
from radbridge.case import Case, CaseKey, CaseState, Code, Order, Patient, Radiologist, ReportText, Sex, Study
from radbridge.contradictions import find_contradictions, find_grave
from radbridge.events import (
    CaseEvent,
    MeasurementsArrived,
    OrderPlaced,
    PatientsMerged,
    PriorsFound,
    ReportDictated,
    ReportSigned,
    StudyObserved,
)
from radbridge.imaging import Measured, Prior, Told

KEY = CaseKey(accession="A1")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EIGHT = datetime(2026, 3, 1, 8, tzinfo=UTC)
JANE = Patient(id="900001", sex=Sex.FEMALE)

sides = st.sampled_from(["", "L", "R", "B"])
ids = st.sampled_from(["", "900001", "0900001", "900002"])
tolds = st.builds(
    Told,
    study_uid=st.sampled_from(["1.1", "1.2", "1.3", "1.4"]),
    patient_id=ids,
    patient_issuer=st.sampled_from(["", "HOSP"]),
    sex=st.sampled_from(["", "M", "F", "O"]),
    birth_date=st.sampled_from([None, date(1950, 1, 2), date(1951, 1, 2)]),
    age=st.sampled_from([None, 71]),
    modality=st.sampled_from(["", "CT", "PT", "MR"]),
    body_part=st.sampled_from(["", "CHEST", "KNEE", "CHEST, KNEE"]),
    laterality=sides,
    contrast=st.sampled_from(["", "with"]),
    description=st.sampled_from(["", "CT KNEE"]),
    procedure_value=st.sampled_from(["", "P1"]),
    reason=st.sampled_from(["", "fall"]),
    at=st.sampled_from([None, EIGHT, NOON]),
)
studies = st.builds(
    Study,
    modality=st.sampled_from(["", "CT", "DX"]),
    body_part=st.sampled_from(["", "KNEE"]),
    laterality=sides,
    description=st.sampled_from(["", "XR KNEE"]),
    at=st.sampled_from([None, NOON]),
)
patients = st.builds(Patient, id=ids, issuer=st.sampled_from(["", "HOSP"]), sex=st.sampled_from(Sex))
orders = st.builds(OrderPlaced, key=st.just(KEY), at=st.just(NOON), patient=patients, study=studies)


def seen(told: Told) -> StudyObserved:
    return StudyObserved(key=KEY, at=NOON, told=told)


def dictated(findings: str = "Clear lungs.", patient: Patient = JANE) -> ReportDictated:
    report = ReportText(findings=findings)
    return ReportDictated(key=KEY, at=NOON, patient=patient, report=report, signer=Radiologist(id="1001"))


def after(*facts: CaseEvent) -> Case:
    case = None
    for fact in facts:
        case = apply(case, fact)
    assert case is not None
    return case


@given(orders, st.lists(tolds, max_size=4, unique_by=lambda t: t.study_uid), st.data())
def test_the_order_of_arrival_makes_no_difference(order: OrderPlaced, told: list[Told], data: st.DataObject) -> None:
    """An order, a report and studies give the same case and the same contradictions in every order of arrival."""
    facts: list[CaseEvent] = [order, dictated(patient=Patient()), *map(seen, told)]
    one, other = after(*facts), after(*data.draw(st.permutations(facts)))
    assert one == other
    assert find_contradictions(one) == find_contradictions(other)


@given(st.lists(st.one_of(orders, tolds.map(seen)), min_size=1, max_size=6))
def test_the_ris_is_never_forgotten(facts: list[CaseEvent]) -> None:
    """Whatever the images tell in between, what the RIS told is kept as it would be without them."""
    only_ris = [f for f in facts if isinstance(f, OrderPlaced)]
    assert after(*facts).by_ris == (after(*only_ris).by_ris if only_ris else Case(key=KEY).by_ris)


def test_who_wins() -> None:
    """What was done is DICOM's word, who and what was asked for is the RIS's, and each completes the other."""
    order = OrderPlaced(
        key=KEY,
        at=NOON,
        patient=JANE,
        order=Order(procedure=Code(value="XRKNEE")),
        study=Study(modality="DX", body_part="KNEE", at=NOON),
    )
    told = Told(
        study_uid="1.2",
        patient_id="900001",
        sex="F",
        birth_date=date(1950, 1, 2),
        modality="CT",
        body_part="CHEST",
        laterality="R",
        contrast="with",
        description="CT KNEE RIGHT",
        procedure_value="CTKNEE",
        reason="fall",
        at=EIGHT,
    )
    case = after(order, seen(told))
    assert case.study == Study(
        modality="CT",
        body_part="KNEE",
        laterality="R",
        contrast="with",
        description="CT KNEE RIGHT",
        uid="1.2",
        at=EIGHT,
    )
    assert case.patient == Patient(id="900001", sex=Sex.FEMALE, birth_date=date(1950, 1, 2))
    assert case.order == Order(procedure=Code(value="XRKNEE"), reason="fall")


def test_two_studies_under_one_accession() -> None:
    """The study that was made first names the case, and both sides are both."""
    late = Told(study_uid="1.1", modality="MR", laterality="L", body_part="KNEE", at=NOON)
    early = Told(study_uid="1.2", modality="CT", laterality="R", body_part="KNEE", at=EIGHT)
    silent = Told(study_uid="1.0", at=datetime(2026, 2, 1, tzinfo=UTC))
    for facts in permutations((late, early, silent)):
        case = after(*map(seen, facts))
        assert (case.study.modality, case.study.uid, case.study.at, case.study.laterality) == ("CT", "1.2", EIGHT, "B")


def test_a_mix_up_takes_the_draft_back() -> None:
    """A contradiction that comes to light withdraws the draft and asks anew, and so does its end: the guard decides."""
    before = after(dictated())
    mixed = apply(before, seen(Told(study_uid="1", patient_id="900002")))
    what = weigh(before, mixed)
    assert (what.withdraw, what.request, bool(what.drop_examples)) == ("order and images contradict", True, True)
    again = weigh(mixed, apply(mixed, seen(Told(study_uid="1", step="COMPLETED"))))
    assert (again.withdraw, again.request) == ("", False)
    merge = PatientsMerged(patient=JANE, prior_id="900002", at=NOON)
    healed = update_patient(mixed, merge)
    assert not find_grave(healed)
    assert (weigh(mixed, healed).withdraw, weigh(mixed, healed).request) == ("order and images agree", True)


def test_images_that_agree_leave_the_draft_alone() -> None:
    """What images and steps tell beside a finished draft changes it only where the guard would say another thing."""
    before = after(OrderPlaced(key=KEY, at=NOON, patient=JANE, study=Study(laterality="R")), dictated())
    told = Told(study_uid="1", patient_id="900001", sex="F", modality="CT", laterality="R", step="COMPLETED", at=EIGHT)
    assert not any(
        (weigh(before, apply(before, seen(told))).withdraw, weigh(before, apply(before, seen(told))).request)
    )
    other = weigh(before, apply(before, seen(Told(study_uid="1", laterality="B"))))
    assert (other.withdraw, other.request) == ("images of another side", True)


@pytest.mark.parametrize(
    ("measured", "withdraw"),
    [
        (Measured(source="AI: X", finding="nodule", value="6", unit="mm"), "measurements changed"),
        (Measured(source="dose", kind="DLP", value="512", unit="mGy.cm"), ""),
    ],
)
def test_a_late_measurement(measured: Measured, withdraw: str) -> None:
    """A measurement that dictated text is held to asks for another draft, once; a dose doesn't."""
    before = after(dictated())
    arrived = MeasurementsArrived(key=KEY, at=NOON, measured=(measured,), sop_uid="1")
    changed = apply(before, arrived)
    assert changed.report == before.report
    assert (weigh(before, changed).withdraw, weigh(before, changed).request) == (withdraw, bool(withdraw))
    assert apply(changed, arrived) == changed


def test_priors_ask_for_nothing() -> None:
    """An archive's answer alone neither withdraws nor requests; its last answer is the one that holds."""
    before = after(dictated())
    priors = tuple(Prior(study_uid=str(y), on=date(y, 1, 1)) for y in range(1970, 2025))
    found = apply(before, PriorsFound(key=KEY, at=NOON, patient_id=JANE.id, priors=priors))
    assert [p.on.year for p in found.priors if p.on] == list(range(2024, 1974, -1))
    assert not any((weigh(before, found).withdraw, weigh(before, found).request))
    assert apply(found, PriorsFound(key=KEY, at=NOON, patient_id=JANE.id, priors=())).priors == ()


def test_a_prior_is_the_patients() -> None:
    """When the case turns out to be another patient's, nothing of the first one's earlier report stays."""
    case = replace(after(dictated()), prior=Prior(study_uid="1", impression="Stable."))
    assert apply(case, dictated("More.")).prior == case.prior
    assert apply(case, dictated(patient=Patient(id="900002"))).prior is None


@given(tolds)
def test_images_open_and_close_nothing(told: Told) -> None:
    """A signed or cancelled case stays so, whatever is told of its images."""
    signed = after(dictated(), ReportSigned(key=KEY, at=NOON, report=ReportText(impression="Normal.")))
    assert apply(signed, seen(told)).state is CaseState.SIGNED
    assert not weigh(signed, apply(signed, seen(told))).request


def test_priors_are_the_patients() -> None:
    """An answer about another patient is no answer, and what was known of one patient's past goes with them."""
    told = PriorsFound(key=KEY, at=NOON, patient_id=JANE.id, priors=(Prior(study_uid="1"),))
    assert apply(after(dictated(patient=Patient(id="900002"))), told).priors == ()
    found = apply(after(dictated()), told)
    assert found.priors == told.priors
    assert apply(found, dictated(patient=Patient(id="900002"))).priors == ()


def test_a_worklist_only_fills_gaps() -> None:
    """What was asked for completes what the RIS told of this patient; of another one nothing is taken."""
    before = after(dictated())
    asked = OrderPlaced(
        key=KEY,
        at=NOON,
        hearsay=True,
        patient=replace(JANE, name="DOE^JANE", sex=Sex.MALE),
        order=Order(placer="P1"),
        study=Study(modality="CT"),
    )
    filled = apply(before, asked)
    assert filled.patient == replace(JANE, name="DOE^JANE")
    assert (filled.order.placer, filled.study.modality) == ("P1", "CT")
    other = apply(before, replace(asked, patient=Patient(id="900002", name="ROE^BOB", sex=Sex.MALE)))
    assert (other.patient, other.order) == (before.patient, before.order)


def test_a_worklist_reopens_nothing() -> None:
    """A worklist's answer that comes after the cancellation leaves the order cancelled."""
    cancelled = replace(after(dictated()), state=CaseState.CANCELLED)
    assert apply(cancelled, OrderPlaced(key=KEY, at=NOON, hearsay=True)).state is CaseState.CANCELLED
    assert apply(cancelled, OrderPlaced(key=KEY, at=NOON)).state is CaseState.OPEN


def test_another_patient_is_another_person() -> None:
    """Nothing that was known of one patient is taken for another's; a merged identifier is the same one's."""
    before = after(dictated(patient=Patient(id="900001", name="DOE^JANE", birth_date=date(1950, 1, 2))))
    assert apply(before, dictated(patient=Patient(id="900002"))).patient == Patient(id="900002")
    merged = replace(before, patient=replace(before.patient, other_ids=("800001",)))
    assert apply(merged, dictated(patient=Patient(id="800001"))).patient.name == "DOE^JANE"
    assert apply(before, dictated(patient=Patient(id="00900001"))).patient.name == "DOE^JANE"


@given(st.permutations([JANE.id, "", "900002", JANE.id]))
def test_one_strange_series_is_a_mix_up(said: list[str]) -> None:
    """A series of another patient among those of one study blocks, whichever comes last, until it is put right."""
    told = [Told(study_uid="1", by=str(n), patient_id=patient_id, modality="CT") for n, patient_id in enumerate(said)]
    case = after(dictated(), *map(seen, told))
    assert find_grave(case) == {"patient id"}
    assert case.told == after(dictated(), *map(seen, reversed(told))).told
    corrected = [seen(replace(t, patient_id=JANE.id)) for t in told]
    assert find_grave(apply(case, corrected[0])) == ({"patient id"} if said[0] != "900002" else set())
    for fact in corrected:
        case = apply(case, fact)
    assert not find_grave(case)


def test_one_study_told_in_parts() -> None:
    """Parts that say more or less of one patient, and none another thing, are no mix-up."""
    parts = (
        Told(study_uid="1", patient_id=JANE.id),
        Told(study_uid="1", sex="F"),
        Told(study_uid="1", patient_id=JANE.id, sex="F"),
    )
    for told in permutations(parts):
        [study] = after(dictated(), *map(seen, told)).told
        assert (study.patient_id, study.sex) == (JANE.id, "F")
        assert not find_contradictions(after(dictated(), *map(seen, told)))


def test_a_step_that_was_given_up_names_nothing() -> None:
    """The study of a wrong worklist entry that was discontinued doesn't name the case once there is another."""
    wrong = Told(study_uid="1", source="mpps", by="mpps", step="DISCONTINUED", modality="CT", at=EIGHT)
    right = Told(study_uid="2", by="2.1", modality="CT", at=NOON)
    for facts in permutations((wrong, right)):
        assert after(*map(seen, facts)).study.uid == "2"
    with_images = replace(wrong, source="images", by="1.1", step="")
    assert after(seen(wrong), seen(with_images), seen(right)).study.uid == "1"


@pytest.mark.parametrize("at", [0, 60, 119])
def test_the_odd_series_of_many_is_seen(at: int) -> None:
    """However many series a study has, the one that is of somebody else isn't overlooked."""
    told = [Told(study_uid="1", by=f"1.{n}", patient_id="900002" if n == at else JANE.id) for n in range(120)]
    assert find_grave(after(dictated(), *map(seen, told))) == {"patient id"}
