"""A draft as a Basic Text SR (PS3.3, A.35.1; TID 2000).

Rule 2 is in the types: completion, verification and preliminary state have one value each. `dsrdump`, `dciodvfy` and
highdicom hold every shape of it in tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from typing import Final

from pydicom.dataset import Dataset

from radbridge.case import Case, Code
from radbridge.draft import DraftImpression
from radbridge_adapters.dicom.encoding.part10 import write_part10
from radbridge_adapters.dicom.writing.content import (
    DEVICE_NAME,
    ENGLISH,
    LANGUAGE,
    Relation,
    choice,
    coded,
    container,
    dcm,
    observed_by_us,
    open_root,
    text,
)
from radbridge_adapters.dicom.writing.document import (
    Instance,
    Series,
    evidence,
    find_study_uid,
    offset_of,
    put_equipment,
    put_patient,
    put_series,
    put_study,
    put_times,
    request_of,
)
from radbridge_adapters.dicom.writing.uids import draft_uid, series_uid
from radbridge_adapters.dicom.writing.wording import charset_of, line, paragraphs

BASIC_TEXT_SR: Final = "1.2.840.10008.5.1.4.1.1.88.11"
TEMPLATE: Final = "2000"
TITLE = Code(value="18748-4", system="LN", display="Diagnostic Imaging Report")
IMPRESSIONS = dcm("121072", "Impressions")
IMPRESSION = dcm("121073", "Impression")
COMMENT = dcm("121106", "Comment")
PROCESSING = dcm("109102", "Processing Equipment")
"""Purpose of reference (CID 7005) of the model that wrote the text."""
NOTICE: Final = "AI draft by RadBridge, not verified. A radiologist has to read and sign the report."
SERIES_NUMBER: Final = 9100
"""Behind a modality's series, where viewers sort by it."""
_NO_TEXT: Final = "(no text)"


class Completion(StrEnum):
    """(0040,A491). A draft is never complete."""

    PARTIAL = "PARTIAL"


class Verification(StrEnum):
    """(0040,A493). A draft is never verified."""

    UNVERIFIED = "UNVERIFIED"


class Preliminary(StrEnum):
    """(0040,A496). A draft is never final."""

    PRELIMINARY = "PRELIMINARY"


@dataclass(frozen=True, kw_only=True, slots=True)
class Composer:
    """Writes the drafts for one destination."""

    destination: str
    ae_title: str
    zone: tzinfo

    def compose(self, case: Case, draft: DraftImpression, instances: Sequence[Instance] = ()) -> bytes:
        """The draft as a Part 10 file. `instances`: what is known of the study, for the evidence."""
        document = self._head(case, draft)
        _put_states(document)
        document.PerformedProcedureCodeSequence = []
        document.ReferencedRequestSequence = [request_of(case)]
        if instances:
            document.CurrentRequestedProcedureEvidenceSequence = [evidence(find_study_uid(case), instances)]
        document.ContributingEquipmentSequence = [_contribution(draft)]
        open_root(document, TITLE, TEMPLATE, self._content(draft))
        return seal(document)

    def _head(self, case: Case, draft: DraftImpression) -> Dataset:
        offset = offset_of(case, self.zone, draft.made_at)
        document = Dataset()
        put_patient(document, case)
        put_study(document, case, offset)
        put_equipment(document)
        put_times(document, draft.made_at, offset)
        put_series(
            document,
            Series(
                modality="SR",
                uid=series_uid(draft.id, self.destination),
                number=SERIES_NUMBER,
                description="AI draft impression, unverified",
                sop_class=BASIC_TEXT_SR,
                sop_instance=draft_uid(draft.id, self.destination),
            ),
        )
        return document

    def _content(self, draft: DraftImpression) -> list[Dataset]:
        written = [text(COMMENT, NOTICE), text(IMPRESSION, paragraphs(draft.text) or _NO_TEXT)]
        for flag in draft.flags:
            told = f"{flag.severity.value}: {flag.kind}: {flag.message}"
            written.append(text(COMMENT, f"AI draft, unverified: {line(told, len(told))}"))
        return [
            choice(LANGUAGE, ENGLISH, Relation.MODIFIER),
            *observed_by_us(self.ae_title),
            container(IMPRESSIONS, written),
        ]


def seal(document: Dataset) -> bytes:
    """The document as a file, in the smallest character set that holds all of its text."""
    charset = charset_of(*_texts(document))
    if charset:
        document.SpecificCharacterSet = charset
    return write_part10(document, document.SOPClassUID, document.SOPInstanceUID)


def _put_states(document: Dataset) -> None:
    document.CompletionFlag = Completion.PARTIAL.value
    document.CompletionFlagDescription = "AI draft, not read by a radiologist"
    document.VerificationFlag = Verification.UNVERIFIED.value
    document.PreliminaryFlag = Preliminary.PRELIMINARY.value


def _contribution(draft: DraftImpression) -> Dataset:
    """Which model and LoRA wrote the text."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = coded(PROCESSING)
    item.Manufacturer = DEVICE_NAME
    item.ManufacturerModelName = line(draft.model)
    item.SoftwareVersions = line(draft.lora)
    item.ContributionDescription = line(
        f"Drafted by model {draft.model} ({draft.base_digest}) with LoRA {draft.lora}, "
        f"prompt {draft.prompt_version}, stage {draft.stage.value}"
        + (f", memory {draft.memory}" if draft.examples else ""),
        1024,
    )
    return item


def _texts(document: Dataset) -> list[str]:
    return [str(element.value) for element in document.iterall() if element.VR in _TEXT]


_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""What SpecificCharacterSet is for (PS3.5, 6.1.2.3)."""
