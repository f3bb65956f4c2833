"""The earlier studies that an archive told of, as they were journaled."""

from __future__ import annotations

from datetime import UTC

from pydicom.dataset import Dataset

from radbridge.case import CaseKey
from radbridge.config import Dicom
from radbridge.imaging import Prior
from radbridge_adapters.dicom.encoding.values import Elements
from radbridge_adapters.dicom.incoming.mapping import find_key, tell


def unpack(dataset: Dataset, settings: Dicom) -> tuple[Prior, ...]:
    """The studies of a journaled answer."""
    return tuple(_prior(study, settings) for study in Elements.of(dataset).items("ReferencedStudySequence"))


def _prior(study: Elements, settings: Dicom) -> Prior:
    told = tell(study, "pacs", UTC)
    key = find_key(study, settings) or CaseKey(accession="")
    return Prior(
        study_uid=told.study_uid,
        accession=key.accession,
        issuer=key.issuer,
        on=study.date("StudyDate"),
        modality=told.modality,
        body_part=told.body_part,
        description=told.description,
    )
