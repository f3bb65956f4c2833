"""The note that takes a draft back: a Key Object Selection that rejects the draft's SR (IHE RAD TF, IOCM; TID 2010).

It is made from the SR as it was sent, since the case may name another patient or study by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from pydicom.dataset import Dataset

from radbridge_adapters.dicom.encoding.values import Elements
from radbridge_adapters.dicom.writing.compose import SERIES_NUMBER, seal
from radbridge_adapters.dicom.writing.content import (
    Relation,
    coded,
    dcm,
    observed_by_us,
    open_root,
    put,
    reference,
    text,
)
from radbridge_adapters.dicom.writing.document import Instance, Series, evidence, put_equipment, put_series, put_times
from radbridge_adapters.dicom.writing.uids import note_series_uid, note_uid

KEY_OBJECT_SELECTION: Final = "1.2.840.10008.5.1.4.1.1.88.59"
TEMPLATE: Final = "2010"
REJECTED = dcm("113037", "Rejected for Patient Safety Reasons")
DESCRIPTION = dcm("113012", "Key Object Description")
WITHDRAWN: Final = "AI draft withdrawn: it doesn't hold any more and must not be read."
_HEAD: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
_REQUEST: Final = (
    "StudyInstanceUID",
    "AccessionNumber",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
)
"""Both are told again even where they are empty (type 2)."""


def compose_note(sent: Dataset, control_id: str, ae_title: str, at: datetime) -> bytes:
    """The rejection note for the SR `sent`, as a Part 10 file."""
    said = Elements.of(sent)
    note = _repeat(said, _HEAD)
    if issuer := said.text("IssuerOfPatientID"):
        put(note, "IssuerOfPatientID", issuer)
    note.ReferencedRequestSequence = [_repeat_request(item) for item in said.items("ReferencedRequestSequence")]
    put_equipment(note)
    put_times(note, at, datetime.strptime(said.text("TimezoneOffsetFromUTC"), "%z").tzinfo or UTC)
    put_series(
        note,
        Series(
            modality="KO",
            uid=note_series_uid(control_id),
            number=SERIES_NUMBER + 1,
            description="AI draft impression withdrawn",
            sop_class=KEY_OBJECT_SELECTION,
            sop_instance=note_uid(control_id),
        ),
    )
    rejected = Instance(
        sop_class=said.text("SOPClassUID"),
        sop_instance=said.text("SOPInstanceUID"),
        series=said.text("SeriesInstanceUID"),
    )
    note.CurrentRequestedProcedureEvidenceSequence = [evidence(said.text("StudyInstanceUID"), [rejected])]
    content = [
        *observed_by_us(ae_title),
        text(DESCRIPTION, WITHDRAWN, Relation.CONTAINS),
        reference(rejected.sop_class, rejected.sop_instance),
    ]
    open_root(note, REJECTED, TEMPLATE, content)
    return seal(note)


def _repeat_request(said: Elements) -> Dataset:
    request = _repeat(said, _REQUEST)
    request.ReferencedStudySequence = []
    codes = said.items("RequestedProcedureCodeSequence")
    request.RequestedProcedureCodeSequence = coded(codes[0].as_code()) if codes else []
    return request


def _repeat(said: Elements, keywords: Sequence[str]) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        put(item, keyword, said.text(keyword))
    if issuer := said.first("IssuerOfAccessionNumberSequence").text("LocalNamespaceEntityID"):
        named = Dataset()
        put(named, "LocalNamespaceEntityID", issuer)
        item.IssuerOfAccessionNumberSequence = [named]
    return item
