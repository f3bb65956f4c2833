"""Journaled DICOM objects become facts by their SOP class."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, EncapsulatedPDFStorage, KeyObjectSelectionDocumentStorage

from radbridge.case import CaseKey, Sex
from radbridge.config import Dicom
from radbridge.errors import MessageFault
from radbridge.events import Event, OrderPlaced, PriorsFound, StudyObserved
from radbridge_adapters.dicom.encoding.part10 import write_part10
from radbridge_adapters.dicom.incoming.translate import MPPS, STUDY_ROOT, WORKLIST, Translator
from tests.support.dicom_scu import STUDY, InstanceAvailabilityNotification, image
from tests.support.sr_specimens import coded

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRANSLATE = Translator(Dicom(), UTC, lambda: NOW)


def translate(dataset: Dataset, sop_class: str) -> list[Event]:
    return list(TRANSLATE(write_part10(dataset, sop_class, "1.2.3.4")))


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize("sop_class", [CTImageStorage, KeyObjectSelectionDocumentStorage, EncapsulatedPDFStorage])
def test_images(sop_class: str) -> None:
    """An image, and whatever is kept like one, tells of its study."""
    (event,) = translate(image("A1"), sop_class)
    assert isinstance(event, StudyObserved)
    assert (event.key, event.at) == (CaseKey(accession="A1"), NOW)
    assert (event.told.source, event.told.modality, event.told.body_part) == ("images", "CT", "CHEST")
    assert event.study.uid == ""  # what images tell is never taken for the RIS's word


def test_study_without_accession() -> None:
    """An object without an accession names its study, by which its accession may be known."""
    (event,) = translate(image(""), CTImageStorage)
    assert isinstance(event, StudyObserved)
    assert (event.key.accession, event.study.uid, event.told.study_uid) == ("", STUDY, STUDY)


def _step(*scheduled: Dataset) -> Dataset:
    return item(
        PatientID="900001",
        PatientSex="F",
        Modality="CT",
        PerformedProcedureStepStatus="IN PROGRESS",
        PerformedProcedureStepStartDate="20260301",
        PerformedProcedureStepStartTime="1015",
        PerformedProcedureStepDescription="CT CHEST",
        ScheduledStepAttributesSequence=list(scheduled),
    )


def test_procedure_step() -> None:
    """A performed step tells of each accession that it was scheduled for, once."""
    first = item(StudyInstanceUID="1.1", AccessionNumber="A1", RequestedProcedureDescription="CT CHEST W CONTRAST")
    second = item(StudyInstanceUID="1.2", AccessionNumber="A2")
    events = translate(_step(first, first, second), MPPS)
    told = [(e.key.accession, e.told) for e in events if isinstance(e, StudyObserved)]
    assert [(accession, t.study_uid, t.step) for accession, t in told] == [
        ("A1", "1.1", "IN PROGRESS"),
        ("A2", "1.2", "IN PROGRESS"),
    ]
    assert [t.contrast for _, t in told] == ["with", ""]
    assert {(t.source, t.modality, t.patient_id, t.at) for _, t in told} == {
        ("mpps", "CT", "900001", datetime(2026, 3, 1, 10, 15, tzinfo=UTC))
    }


def test_unscheduled_step() -> None:
    """A step that nothing was scheduled for names its study only."""
    (event,) = translate(_step(item(StudyInstanceUID="1.1", AccessionNumber="")), MPPS)
    assert isinstance(event, StudyObserved)
    assert (event.key.accession, event.study.uid) == ("", "1.1")


def test_availability() -> None:
    """A notification of available instances names the study, and no accession."""
    notified = item(StudyInstanceUID=STUDY, ReferencedSeriesSequence=[item(SeriesInstanceUID="1.5")])
    (event,) = translate(notified, InstanceAvailabilityNotification)
    assert isinstance(event, StudyObserved)
    assert (event.key.accession, event.study.uid) == ("", STUDY)


def test_worklist_item() -> None:
    """A worklist item is the order that the RIS never sent, and the study as it will be."""
    scheduled = item(
        AccessionNumber="A1",
        PatientName="DOE^JANE",
        PatientID="900001",
        IssuerOfPatientID="HOSP",
        PatientBirthDate="19550301",
        PatientSex="F",
        StudyInstanceUID=STUDY,
        RequestedProcedureDescription="",
        RequestedProcedureCodeSequence=[coded("30746-2", "LN", "CT Chest W contrast IV")],
        RequestedProcedurePriority="STAT",
        ReasonForTheRequestedProcedure="Cough",
        PlacerOrderNumberImagingServiceRequest="P1",
        FillerOrderNumberImagingServiceRequest="F1",
        ScheduledProcedureStepSequence=[item(Modality="CT", ScheduledProcedureStepDescription="CT CHEST")],
    )
    order, observed = translate(scheduled, WORKLIST)
    assert isinstance(order, OrderPlaced)
    assert isinstance(observed, StudyObserved)
    assert order.key == CaseKey(accession="A1")
    assert order.hearsay  # it was asked for: never over what the RIS told
    assert (order.patient.id, order.patient.issuer, order.patient.name) == ("900001", "HOSP", "DOE^JANE")
    assert (order.patient.sex, order.patient.birth_date) == (Sex.FEMALE, date(1955, 3, 1))
    assert (order.order.placer, order.order.filler, order.order.priority) == ("P1", "F1", "S")
    assert (order.order.procedure.value, order.order.reason) == ("30746-2", "Cough")
    study = order.study
    assert (study.modality, study.body_part, study.contrast, study.uid) == ("CT", "CHEST", "with", STUDY)
    assert (observed.told.source, observed.told.at) == ("worklist", None)


@pytest.mark.parametrize(
    ("name", "read"),
    [("DOE^JANE^^^", "DOE^JANE"), ("Yamada^Tarou=山田^太郎", "Yamada^Tarou"), ("=山田^太郎", "山田^太郎")],
)
def test_name(name: str, read: str) -> None:
    """A name is its first component group that isn't empty."""
    scheduled = item(SpecificCharacterSet="ISO_IR 192", AccessionNumber="A1", StudyInstanceUID=STUDY, PatientName=name)
    order, _ = translate(scheduled, WORKLIST)
    assert isinstance(order, OrderPlaced)
    assert order.patient.name == read


def test_worklist_item_of_nothing() -> None:
    """A worklist item without an accession is no order of any case."""
    assert translate(item(PatientID="900001", StudyInstanceUID=STUDY), WORKLIST) == []


def test_priors() -> None:
    """An archive's answer is the patient's earlier studies, for the case that asked."""
    answer = item(
        AccessionNumber="A1",
        PatientID="900001",
        ReferencedStudySequence=[
            item(StudyInstanceUID="1.1", StudyDate="20250301", ModalitiesInStudy="CT", StudyDescription="CT CHEST")
        ],
    )
    (event,) = translate(answer, STUDY_ROOT)
    assert isinstance(event, PriorsFound)
    assert event.patient_id == "900001"
    (prior,) = event.priors
    assert (prior.on, prior.modality, prior.body_part) == (date(2025, 3, 1), "CT", "CHEST")


def test_no_priors() -> None:
    """An empty answer is no fact."""
    assert translate(item(AccessionNumber="A1"), STUDY_ROOT) == []


def test_no_dicom_file() -> None:
    """Bytes that are no DICOM file are refused by a fault."""
    with pytest.raises(MessageFault) as caught:
        TRANSLATE(b"MSH|^~\\&|")
    assert caught.value.reason == "no_part10"
