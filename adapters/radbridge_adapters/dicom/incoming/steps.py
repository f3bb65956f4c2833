"""Modality Performed Procedure Step as SCP (PS3.4, F.7): what a step's creation and change may say."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from radbridge.case import CaseKey
from radbridge.config import Dicom
from radbridge.errors import MessageFault
from radbridge.journal.dicom import Begun, Changed, Filed, StepOutcome, StepState
from radbridge.traces import carried
from radbridge_adapters.dicom.encoding.header import EXPLICIT_LITTLE
from radbridge_adapters.dicom.encoding.part10 import encode_raw, read_part10, wrap_part10
from radbridge_adapters.dicom.encoding.raw import read_dataset
from radbridge_adapters.dicom.encoding.values import Elements, is_uid, tag_of
from radbridge_adapters.dicom.incoming.mapping import find_key, has_long_issuer
from radbridge_adapters.dicom.incoming.reception import Fault, receive
from radbridge_adapters.dicom.network import status
from radbridge_adapters.dicom.network.classes import PROCEDURE_STEP
from radbridge_adapters.dicom.network.services import CreateRequest, Request, SetRequest

STATUS = tag_of("PerformedProcedureStepStatus")
SCHEDULED = tag_of("ScheduledStepAttributesSequence")

CREATED_ONLY = frozenset(
    tag_of(keyword)
    for keyword in (
        "SpecificCharacterSet",
        "ScheduledStepAttributesSequence",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientSex",
        "Modality",
        "StudyID",
        "PerformedProcedureStepID",
        "PerformedStationAETitle",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
    )
)
"""What only the creation may tell (PS3.4, table F.7.2-1). A change that tells it again is taken in without it."""

OUTCOMES = {
    StepOutcome.KEPT: Fault(reason="", detail="", status=status.SUCCESS),
    StepOutcome.KNOWN: Fault(
        reason="duplicate", detail="there is a step of this UID", status=status.DUPLICATE_SOP_INSTANCE
    ),
    StepOutcome.UNKNOWN: Fault(reason="unknown_step", detail="no step of this UID", status=status.NO_SUCH_SOP_INSTANCE),
    StepOutcome.FINAL: Fault(
        reason="step_final",
        detail="the step is completed or discontinued",
        status=status.PROCESSING_FAILURE,
    ),
}
"""What the modality is told."""


class Steps:
    """Judges procedure steps by the site's rules."""

    def __init__(self, settings: Dicom) -> None:
        self._settings = settings

    def begin(self, request: CreateRequest) -> Begun | Fault:
        """The step to keep, or why it can't be. A UID is made where the request leaves that to us (PS3.7, 10.1.5)."""
        uid = request.sop_instance or f"2.25.{secrets.randbits(122)}"
        try:
            dataset = read_dataset(request.header.elements, request.header.syntax)
        except MessageFault as error:
            return Fault(reason=error.reason, detail="the step can't be read", status=status.PROCESSING_FAILURE)
        said = self._read(dataset)
        if not is_uid(uid):
            return _INVALID_UID
        for tag, is_told in ((STATUS, said.text("PerformedProcedureStepStatus")), (SCHEDULED, said.items(_SEQUENCE))):
            if not is_told:
                return Fault(
                    reason="missing_attribute",
                    detail="an attribute is missing",
                    status=status.MISSING_ATTRIBUTE,
                    offending=(tag,),
                )
        if any(has_long_issuer(item) for item in said.items(_SEQUENCE)):
            return _LONG_ISSUER
        if _state(said) is not StepState.IN_PROGRESS:
            return _INVALID_STATE
        raw = wrap_part10(encode_raw(dataset), EXPLICIT_LITTLE, PROCEDURE_STEP, uid)
        return Begun(sop_uid=uid, filed=self._file(request, raw, said, f"{uid}:create", carried()))

    def change(self, request: SetRequest) -> Changed | Fault:
        """The change to make, or why it can't be."""
        uid = request.sop_instance
        try:
            update = read_dataset(request.header.elements, request.header.syntax)
        except MessageFault as error:
            return Fault(reason=error.reason, detail="the change can't be read", status=status.PROCESSING_FAILURE)
        said = self._read(update)
        state = _state(said)
        if not is_uid(uid):
            return _INVALID_UID
        if state is None and said.text("PerformedProcedureStepStatus"):
            return _INVALID_STATE

        trace = carried()

        def merge(attributes: bytes) -> Filed:
            elements = encode_raw(_merge(read_part10(attributes), update))
            raw = wrap_part10(elements, EXPLICIT_LITTLE, PROCEDURE_STEP, uid)
            digest = hashlib.sha256(elements).hexdigest()[:12]
            return self._file(request, raw, self._read(read_part10(raw)), f"{uid}:set:{digest}", trace)

        return Changed(sop_uid=uid, state=state, merge=merge)

    def _read(self, dataset: Dataset) -> Elements:
        return Elements.of(dataset, self._settings.default_charset)

    def _file(self, request: Request, raw: bytes, said: Elements, control_id: str, trace: str) -> Filed:
        studies = self._studies(said)
        key = next((key for _, key in studies if key), None)
        return Filed(received=receive(request, raw, key, control_id=control_id, trace=trace), studies=studies)

    def _studies(self, said: Elements) -> Sequence[tuple[str, CaseKey | None]]:
        return [(item.text("StudyInstanceUID"), find_key(item, self._settings)) for item in said.items(_SEQUENCE)]


_SEQUENCE = "ScheduledStepAttributesSequence"
_INVALID_UID = Fault(reason="bad_uid", detail="the SOP Instance UID is invalid", status=status.INVALID_ATTRIBUTE_VALUE)
_LONG_ISSUER = Fault(
    reason="key_too_long", detail="the accession's issuer is too long", status=status.INVALID_ATTRIBUTE_VALUE
)
_INVALID_STATE = Fault(
    reason="bad_state",
    detail="not a status that a step may have now",
    status=status.INVALID_ATTRIBUTE_VALUE,
    offending=(STATUS,),
)


def _state(said: Elements) -> StepState | None:
    text = said.text("PerformedProcedureStepStatus").upper()
    return StepState(text) if text in set(StepState) else None


def _merge(known: Dataset, update: Dataset) -> Dataset:
    elements: list[object] = [known.get_item(tag) for tag in sorted(known.keys())]
    elements += [update.get_item(tag) for tag in sorted(update.keys()) if tag not in CREATED_ONLY]
    return Dataset({e.tag: e for e in elements if isinstance(e, RawDataElement)})
