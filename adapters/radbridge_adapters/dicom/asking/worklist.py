"""The Modality Worklist, asked for an accession that no order came for (PS3.4 annex K)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset

from radbridge.case import Case, CaseKey
from radbridge.config import Dicom
from radbridge_adapters.dicom.asking.asked import CODE, ISSUER, Wanted, ask_for, is_plain, keep, name_case
from radbridge_adapters.dicom.asking.cache import Asking
from radbridge_adapters.dicom.encoding.values import Elements
from radbridge_adapters.dicom.incoming.mapping import read_key
from radbridge_adapters.dicom.network.scu import Scu

MODALITY_WORKLIST: Final = "1.2.840.10008.5.1.4.31"
MOST_ITEMS = 10
"""Scheduled steps of one accession; more is no answer to what was asked."""
WANTED: Wanted = {
    "AccessionNumber": None,
    "IssuerOfAccessionNumberSequence": ISSUER,
    "PatientName": None,
    "PatientID": None,
    "IssuerOfPatientID": None,
    "PatientBirthDate": None,
    "PatientSex": None,
    "StudyInstanceUID": None,
    "RequestedProcedureID": None,
    "RequestedProcedureDescription": None,
    "RequestedProcedureCodeSequence": CODE,
    "RequestedProcedurePriority": None,
    "ReasonForTheRequestedProcedure": None,
    "ReasonForRequestedProcedureCodeSequence": CODE,
    "PlacerOrderNumberImagingServiceRequest": None,
    "FillerOrderNumberImagingServiceRequest": None,
    "ScheduledProcedureStepSequence": {
        "Modality": None,
        "ScheduledStationAETitle": None,
        "ScheduledProcedureStepStartDate": None,
        "ScheduledProcedureStepStartTime": None,
        "ScheduledProcedureStepDescription": None,
        "ScheduledProtocolCodeSequence": CODE,
        "ScheduledProcedureStepID": None,
    },
}
"""What is asked for and kept (PS3.4 table K.6-1)."""


class Worklist:
    """Asks one worklist."""

    name = "worklist"
    kind = "MWL"
    sop_class = MODALITY_WORKLIST
    may_be_known_later = True
    """An order may reach the worklist after the dictation began."""

    def __init__(self, settings: Dicom, scu: Scu, *, timeout_s: float, asking: Asking[Dataset]) -> None:
        self._settings = settings
        self._scu = scu
        self._timeout_s = timeout_s
        self._asking = asking

    def question(self, case: Case) -> str:
        """What there is to ask about a case; empty: nothing, as its procedure is known or no peer could answer."""
        procedure = case.order.procedure
        is_known = procedure.value or procedure.display or any(told.source == "worklist" for told in case.told)
        return "" if is_known or not is_plain(case.key.accession) else case.key.accession

    async def ask(self, case: Case) -> Sequence[Dataset]:
        """The scheduled steps of the case's accession. Raises DeliveryFailed, DeliveryRefused."""
        accession = case.key.accession

        async def put() -> tuple[Dataset, ...]:
            query = ask_for(WANTED, {"AccessionNumber": accession})
            found = await self._scu.find(MODALITY_WORKLIST, query, timeout_s=self._timeout_s, at_most=MOST_ITEMS)
            return tuple(keep(Elements.of(answer, self._settings.default_charset), WANTED) for answer in found)

        answers = await self._asking.ask(accession, put)
        return [name_case(answer, case.key) for answer in answers if self._is_of(answer, case.key)]

    def _is_of(self, answer: Dataset, key: CaseKey) -> bool:
        """Whether the answer is to the question: a peer that doesn't match by accession tells all it has."""
        told = read_key(answer, self._settings)
        return told is not None and told.accession == key.accession and key.issuer in ("", told.issuer or key.issuer)
