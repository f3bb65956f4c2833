"""Journaled DICOM objects to facts, by SOP class. Pure but for the clock, which says when a fact was learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final

import structlog
from pydicom.dataset import Dataset

from radbridge.case import CaseKey, Code, Order, Patient, Sex, Study
from radbridge.config import Dicom
from radbridge.events import Event, MeasurementsArrived, OrderPlaced, PriorsFound, StudyObserved
from radbridge.imaging import Told
from radbridge_adapters.dicom.encoding.part10 import read_part10
from radbridge_adapters.dicom.encoding.values import Elements
from radbridge_adapters.dicom.incoming.mapping import find_key, tell
from radbridge_adapters.dicom.incoming.priors import unpack
from radbridge_adapters.dicom.incoming.sr_read import is_our_own, read_report

log = structlog.get_logger(__name__)

MPPS: Final = "1.2.840.10008.3.1.2.3.3"
WORKLIST: Final = "1.2.840.10008.5.1.4.31"
STUDY_ROOT: Final = "1.2.840.10008.5.1.4.1.2.2.1"
SR_CLASSES: Final = "1.2.840.10008.5.1.4.1.1.88."
KEY_OBJECTS: Final = "1.2.840.10008.5.1.4.1.1.88.59"
"""Below `SR_CLASSES`, but of images: kept as one of them."""
PRIORITIES: Final = {"STAT": "S", "HIGH": "A", "ROUTINE": "R", "MEDIUM": "R", "LOW": "R"}
"""Requested Procedure Priority (0040,1003) -> HL7 table 0027."""


@dataclass(frozen=True, slots=True)
class _Object:
    """One journaled object."""

    sop_class: str
    dataset: Dataset = field(repr=False)
    values: Elements = field(repr=False)


class Translator:
    """Translates by the site's settings; a `radbridge.wire.Wire.translate`."""

    def __init__(
        self, settings: Dicom, zone: tzinfo, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._settings = settings
        self._zone = zone
        self._clock = clock
        self._readers: dict[str, Callable[[_Object], Iterator[Event]]] = {
            MPPS: self._step,
            WORKLIST: self._scheduled,
            STUDY_ROOT: self._priors,
        }

    def __call__(self, raw: bytes) -> Sequence[Event]:
        """The facts that one object tells; none of our own drafts. Raises MessageFault when it can't be read."""
        dataset = read_part10(raw)
        sop_class = str(dataset.file_meta.MediaStorageSOPClassUID)
        values = Elements.of(dataset, self._settings.default_charset)
        if is_our_own(values):
            return []
        is_report = sop_class.startswith(SR_CLASSES) and sop_class != KEY_OBJECTS
        reader = self._readers.get(sop_class) or (self._report if is_report else self._images)
        events = list(reader(_Object(sop_class, dataset, values)))
        if values.lies:
            log.warning("charset_not_as_declared", wire="dicom", sop_class=sop_class)
        return events

    def _images(self, found: _Object) -> Iterator[Event]:
        yield from self._observe(found.values, "images")

    def _step(self, found: _Object) -> Iterator[Event]:
        """One fact for each scheduled step that was done: each may be of another accession (PS3.4 F.7.2)."""
        steps = [step.over(found.values) for step in found.values.items("ScheduledStepAttributesSequence")]
        seen: set[tuple[CaseKey | None, Told]] = set()
        for values in steps or [found.values]:
            what = find_key(values, self._settings), self._tell(values, "mpps")
            if what not in seen:
                seen.add(what)
                yield from self._observe(values, "mpps")

    def _scheduled(self, found: _Object) -> Iterator[Event]:
        """What the RIS never sent by itself: the order, and the study as it will be."""
        step = found.values.first("ScheduledProcedureStepSequence")
        values = found.values.over(step)
        key = find_key(values, self._settings)
        if key is None:
            return
        told = self._tell(values, "worklist")
        yield OrderPlaced(
            key=key,
            at=self._clock(),
            patient=_read_patient(values, told),
            order=_read_order(values, told, step.code("ScheduledProtocolCodeSequence")),
            study=_read_study(told),
            hearsay=True,
        )
        yield from self._observe(values, "worklist")

    def _priors(self, found: _Object) -> Iterator[Event]:
        key = find_key(found.values, self._settings)
        priors = unpack(found.dataset, self._settings)
        if key is not None and priors:
            patient_id = found.values.text("PatientID")
            yield PriorsFound(key=key, at=self._clock(), patient_id=patient_id, priors=priors)

    def _report(self, found: _Object) -> Iterator[Event]:
        yield from self._observe(found.values, "images")
        report = read_report(found.values)
        if report.skipped:
            log.warning("report_items_skipped", wire="dicom", sop_class=found.sop_class, count=report.skipped)
        if report.measured:
            key, study = self._place(found.values)
            yield MeasurementsArrived(
                key=key,
                at=self._clock(),
                study=study,
                measured=report.measured,
                sop_uid=report.sop_uid,
                replaces=report.replaces,
            )

    def _observe(self, values: Elements, source: str) -> Iterator[Event]:
        told = self._tell(values, source)
        key, study = self._place(values)
        if told.study_uid:
            yield StudyObserved(key=key, at=self._clock(), study=study, told=told)

    def _tell(self, values: Elements, source: str) -> Told:
        return tell(values, source, self._zone, self._settings.issuers)

    def _place(self, values: Elements) -> tuple[CaseKey, Study]:
        """The accession; without one an empty key and the study, whose accession others may know."""
        key = find_key(values, self._settings)
        return (key, Study()) if key else (CaseKey(accession=""), Study(uid=values.text("StudyInstanceUID")))


def _read_patient(values: Elements, told: Told) -> Patient:
    return Patient(
        id=told.patient_id,
        issuer=told.patient_issuer,
        name=next((group for group in map(_trim, values.text("PatientName").split("=")) if group), ""),
        birth_date=told.birth_date,
        sex=Sex(told.sex),
    )


def _trim(group: str) -> str:
    """A component group of a name (PS3.5 6.2.1) without empty components at its end."""
    return group.strip().rstrip("^ ")


def _read_order(values: Elements, told: Told, protocol: Code) -> Order:
    procedure = Code(value=told.procedure_value, system=told.procedure_system, display=told.procedure_display)
    named = procedure if procedure.value or procedure.display else protocol
    return Order(
        placer=values.text("PlacerOrderNumberImagingServiceRequest"),
        filler=values.text("FillerOrderNumberImagingServiceRequest"),
        procedure=named if named.value or named.display else Code(display=told.description),
        reason=told.reason,
        priority=PRIORITIES.get(values.text("RequestedProcedurePriority").upper(), ""),
    )


def _read_study(told: Told) -> Study:
    return Study(
        modality=told.modality,
        body_part=told.body_part,
        laterality=told.laterality,
        contrast=told.contrast,
        description=told.description,
        uid=told.study_uid,
    )
