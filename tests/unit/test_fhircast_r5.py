"""R5 content, as IHE IRA shares it, read beside R4."""

from __future__ import annotations

from typing import Any

import pytest

from radbridge.config import Site
from radbridge.errors import MessageFault
from radbridge.events import ReportDictated, ReportOpened
from radbridge_adapters.fhircast.message import read_event
from radbridge_adapters.fhircast.r5.report import to_r4
from radbridge_adapters.fhircast.reading import make_snapshot
from radbridge_adapters.fhircast.record import Record
from radbridge_adapters.fhircast.session import Session, take
from radbridge_adapters.fhircast.translate import RecordTranslator
from tests.support.fhircast import event, observation, put, report_context, update_context

STUDY = {
    "resourceType": "ImagingStudy",
    "id": "s1",
    "status": "available",
    "subject": {"reference": "Patient/p1"},
    "modality": [{"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "MR"}]}],
    "series": [
        {
            "uid": "2.999.1",
            "modality": {"coding": [{"code": "MR"}]},
            "bodySite": {"concept": {"coding": [{"code": "72696002", "display": "Knee"}]}},
            "laterality": {"coding": [{"code": "7771000", "display": "Left"}]},
        }
    ],
}


def r5_context() -> list[dict[str, Any]]:
    """A report opened with R5 content."""
    context = report_context("A1")
    del context[0]["resource"]["imagingStudy"]
    context[0]["resource"]["study"] = [{"reference": "ImagingStudy/s1"}, {"reference": "GenomicStudy/g1"}]
    context[2]["resource"] = STUDY
    return context


def test_r5_names_are_read_as_r4() -> None:
    """`study`, `modified` and the concepts of an R5 study become what R4 calls them."""
    report = to_r4(
        {"resourceType": "DiagnosticReport", "status": "modified", "study": [{"reference": "ImagingStudy/1"}]}
    )
    assert report == {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "imagingStudy": [{"reference": "ImagingStudy/1"}],
    }
    study = to_r4(STUDY)
    assert study["modality"][0]["code"] == "MR"
    assert study["series"][0]["modality"] == {"code": "MR"}
    assert study["series"][0]["bodySite"] == {"code": "72696002", "display": "Knee"}


def test_an_r5_session_makes_the_same_facts() -> None:
    """A report opened and dictated with R5 content gives the facts that R4 content gives."""
    from radbridge_adapters.fhircast.dialect import find_dialect

    translate, dialect = RecordTranslator(Site()), find_dialect("ira")
    assert dialect.fhir == "R5"
    step = take(Session(), read_event(event("DiagnosticReport-open", r5_context())), version="v1", dialect=dialect)
    assert step.about is not None
    [opened] = translate(Record.of(step.event, step.about, dialect.fhir).write())
    assert isinstance(opened, ReportOpened)
    assert (opened.study.modality, opened.study.laterality) == ("MR", "L")
    said = event("DiagnosticReport-update", update_context(put(observation("Meniscal tear."))), version="v1")
    step = take(step.session, read_event(said), version="v2", dialect=dialect)
    assert step.about is not None
    [dictated] = translate(Record.of(step.event, step.about, dialect.fhir).write())
    assert isinstance(dictated, ReportDictated)
    assert dictated.report.findings == "Meniscal tear."


def test_the_report_keeps_its_study() -> None:
    """The study that an R5 report names is the one that is read, and a genomic one is none."""
    snapshot = make_snapshot("r1", r5_context(), (), "R5")
    assert snapshot.focus["imagingStudy"] == [{"reference": "ImagingStudy/s1"}]


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "DiagnosticReport", "study": {"reference": 5}},
        {"resourceType": "ImagingStudy", "modality": [{"coding": "MR"}]},
        {"resourceType": "Observation", "code": "text"},
    ],
)
def test_what_is_not_r5_is_a_fault(resource: dict[str, Any]) -> None:
    """A resource that R5 doesn't have so is a fault that names its place and quotes nothing."""
    with pytest.raises(MessageFault) as caught:
        to_r4(resource)
    assert caught.value.reason == "not_r5"
    assert "text" not in str(caught.value)
