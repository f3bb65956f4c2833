"""The patient's earlier studies, asked of a PACS (Study Root, PS3.4 annex C) or by DICOMweb, and how they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, date
from typing import Final, Protocol

from pydicom.dataset import Dataset

from radbridge.case import Case, CaseKey
from radbridge.config import Dicom
from radbridge.errors import DeliveryFailed, DeliveryRefused
from radbridge_adapters.dicom.asking.asked import ISSUER, Wanted, ask_for, is_plain, keep, name_case, put
from radbridge_adapters.dicom.asking.cache import Asking
from radbridge_adapters.dicom.encoding.values import Elements
from radbridge_adapters.dicom.incoming.mapping import tell
from radbridge_adapters.dicom.network.scu import Scu

STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
MOST_STUDIES = 500
"""Of one patient."""
MOST_KEPT = 50
"""Of them, the newest."""
MOST_SERIES = 100
MOST_LOOKED_INTO = 5
"""Studies whose body part is looked for in their series: the newest of fitting modality that don't tell it."""
STUDY: Wanted = {
    "PatientID": None,
    "IssuerOfPatientID": None,
    "StudyInstanceUID": None,
    "StudyDate": None,
    "StudyTime": None,
    "AccessionNumber": None,
    "IssuerOfAccessionNumberSequence": ISSUER,
    "ModalitiesInStudy": None,
    "StudyDescription": None,
}
SERIES: Wanted = {"SeriesInstanceUID": None, "Modality": None, "BodyPartExamined": None}
_KEPT: Wanted = {k: v for k, v in STUDY.items() if not k.endswith("PatientID")} | {"BodyPartExamined": None}


class Archive(Protocol):
    """Who has studies. Both questions raise DeliveryFailed, DeliveryRefused."""

    async def studies(self, patient_id: str) -> tuple[Dataset, ...]:
        """The studies of a patient, with what `STUDY` names."""
        ...

    async def series(self, study_uid: str) -> tuple[Dataset, ...]:
        """The series of a study, with what `SERIES` names."""
        ...


class DicomArchive:
    """A PACS that is asked by C-FIND."""

    def __init__(self, scu: Scu, *, timeout_s: float, asking: Asking[Dataset], charset: str) -> None:
        self._scu = scu
        self._timeout_s = timeout_s
        self._asking = asking
        self._charset = charset

    async def studies(self, patient_id: str) -> tuple[Dataset, ...]:
        """By PatientID at the level of studies."""
        known = {"QueryRetrieveLevel": "STUDY", "PatientID": patient_id}
        return await self._find(f"studies {patient_id}", STUDY, known, MOST_STUDIES)

    async def series(self, study_uid: str) -> tuple[Dataset, ...]:
        """By StudyInstanceUID at the level of series."""
        known = {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": study_uid}
        return await self._find(f"series {study_uid}", SERIES, known, MOST_SERIES)

    async def _find(self, question: str, wanted: Wanted, known: dict[str, str], at_most: int) -> tuple[Dataset, ...]:
        async def put_question() -> tuple[Dataset, ...]:
            query = ask_for(wanted, known)
            found = await self._scu.find(STUDY_ROOT_FIND, query, timeout_s=self._timeout_s, at_most=at_most)
            return tuple(keep(Elements.of(answer, self._charset), wanted) for answer in found)

        return await self._asking.ask(question, put_question)


class Priors:
    """Asks one archive after the other until one answers."""

    name = "priors"
    kind = "PRIORS"
    sop_class = STUDY_ROOT_FIND
    may_be_known_later = False
    """A first study has no earlier ones: mostly an empty answer is the answer."""

    def __init__(self, settings: Dicom, archives: Sequence[Archive]) -> None:
        self._settings = settings
        self._archives = archives

    def question(self, case: Case) -> str:
        """What there is to ask about a case; empty without a patient id that can be asked for."""
        patient = case.patient
        if not is_plain(patient.id):
            return ""
        return f"{patient.id}\n{patient.issuer}\n{case.study.uid}\n{case.study.modality}"

    async def ask(self, case: Case) -> Sequence[Dataset]:
        """The earlier studies of the case's patient, in one answer. Raises DeliveryFailed, DeliveryRefused."""
        for archive in self._archives[:-1]:
            try:
                return await self._ask(archive, case)
            except (DeliveryFailed, DeliveryRefused):
                continue
        return await self._ask(self._archives[-1], case)

    async def _ask(self, archive: Archive, case: Case) -> Sequence[Dataset]:
        found = [s for s in await archive.studies(case.patient.id) if self._is_prior(s, case)]
        newest = sorted(found, key=_day, reverse=True)[:MOST_KEPT]
        looked = await _look_into(archive, newest, case.study.modality)
        studies = [looked.get(_uid(study), study) for study in newest]
        return [pack(studies, case.key, case.patient.id)] if studies else []

    def _is_prior(self, study: Dataset, case: Case) -> bool:
        """Another study of this very patient: an archive that matches loosely, or not at all, tells of others too."""
        told = tell(Elements.of(study), "pacs", UTC)
        issuers = {told.patient_issuer, case.patient.issuer} - {""}
        own = case.key.accession == Elements.of(study).text("AccessionNumber")
        is_theirs = told.patient_id == case.patient.id.strip() and len(issuers) < 2
        return is_theirs and bool(told.study_uid) and told.study_uid != case.study.uid and not own


def pack(studies: Sequence[Dataset], key: CaseKey, patient_id: str) -> Dataset:
    """An answer as it is journaled: the studies of a patient, for one case."""
    packed = Dataset()
    put(packed, "PatientID", patient_id)
    put(packed, "ReferencedStudySequence", [keep(Elements.of(study), _KEPT) for study in studies])
    return name_case(packed, key)


def _uid(study: Dataset) -> str:
    return Elements.of(study).text("StudyInstanceUID")


def _day(study: Dataset) -> date:
    return Elements.of(study).date("StudyDate") or date.min


async def _look_into(archive: Archive, studies: Sequence[Dataset], modality: str) -> dict[str, Dataset]:
    """Those of the studies whose body part only their series tell, with it."""
    silent = [study for study in studies if _fits(study, modality)][:MOST_LOOKED_INTO]
    found: dict[str, Dataset] = {}
    with suppress(DeliveryFailed, DeliveryRefused):  # the studies themselves are worth having
        for study in silent:
            uid = _uid(study)
            series = [Elements.of(one) for one in await archive.series(uid)]
            if part := next((p for one in series if (p := one.text("BodyPartExamined"))), ""):
                found[uid] = deepcopy(study)
                put(found[uid], "BodyPartExamined", part)
    return found


def _fits(study: Dataset, modality: str) -> bool:
    told = tell(Elements.of(study), "pacs", UTC)
    return not told.body_part and modality in ("", told.modality)
