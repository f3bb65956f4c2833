"""Journaled bytes to facts. Pure but for the clock, which stands in where a message tells no time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import structlog

from radbridge.case import CaseKey, Order, Patient, Radiologist, ReportText, Study, fill
from radbridge.config import Hl7v2
from radbridge.events import (
    Event,
    OrderCancelled,
    OrderPlaced,
    PatientsMerged,
    PatientUpdated,
    ReportDictated,
    ReportSigned,
    ReportWithdrawn,
)
from radbridge_adapters.hl7v2.accession import AccessionPlaces
from radbridge_adapters.hl7v2.charset import decode
from radbridge_adapters.hl7v2.er7 import Message, Segment
from radbridge_adapters.hl7v2.faults import fault
from radbridge_adapters.hl7v2.header import read_charset, read_header
from radbridge_adapters.hl7v2.order import OrderGroup, is_cancelled, read_order, read_study, split_groups
from radbridge_adapters.hl7v2.patient import choose_id, read_patient
from radbridge_adapters.hl7v2.report import is_narrative, read_report
from radbridge_adapters.hl7v2.signer import read_signer
from radbridge_adapters.hl7v2.status import Meaning, StatusTable, Verdict
from radbridge_adapters.hl7v2.times import find_zone, read_offset, read_time

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _About:
    """What every fact of one accession carries."""

    key: CaseKey
    at: datetime
    patient: Patient
    order: Order
    study: Study


class Translator:
    """Translates by the site's tables; a `radbridge.wire.Wire.translate`."""

    def __init__(
        self, settings: Hl7v2, places: AccessionPlaces, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._settings = settings
        self._places = places
        self._statuses = StatusTable(settings.report_status)
        self._zone = find_zone(settings.timezone)
        self._clock = clock
        self._readers: dict[str, Callable[[Message], list[Event]]] = {
            "ORM^O01": self._orders,
            "OMI^O23": self._orders,
            "ORU^R01": self._results,
            "MDM^T02": self._document,
            "ADT^A01": self._demographics,
            "ADT^A04": self._demographics,
            "ADT^A08": self._demographics,
            "ADT^A40": self._merge,
        }

    def __call__(self, raw: bytes) -> Sequence[Event]:
        """The facts that one message tells. Raises MessageFault when it can't be read as one of those taken in."""
        decoded = decode(raw, read_charset(raw), self._settings.default_charset)
        if decoded.lied:
            log.warning("charset_not_as_declared", code=decoded.codec)
        message = Message(decoded.text)
        reader = self._readers.get(read_header(message).kind)
        if reader is None:
            raise fault("unknown_type")
        return reader(message)

    def _orders(self, message: Message) -> list[Event]:
        events: list[Event] = []
        for group in split_groups(message.segments):
            key = self._places.find(group.segments)
            if key is None:
                continue
            about = self._about(key, message, [group])
            event = OrderCancelled if is_cancelled(group) else OrderPlaced
            events.append(event(key=key, at=about.at, patient=about.patient, order=about.order, study=about.study))
        if not events:
            raise fault("no_accession")
        return events

    def _results(self, message: Message) -> list[Event]:
        by_key: dict[CaseKey, list[OrderGroup]] = {}
        for group in split_groups(message.segments):
            key = self._places.find(group.segments)
            if key is not None:
                by_key.setdefault(key, []).append(group)
        if not by_key:
            raise fault("no_accession")
        return [self._result(self._about(key, message, groups), groups) for key, groups in by_key.items()]

    def _result(self, about: _About, groups: Sequence[OrderGroup]) -> Event:
        segments = [segment for group in groups for segment in group.segments]
        told = [obx for obx in segments if obx.name == "OBX" and is_narrative(obx)]
        state = next((text for group in groups if (text := group.text("OBR", 25))), "")
        verdict = self._statuses.judge_result(state, [obx.text(11) for obx in told])
        kept = [obx for obx in told if not self._is_withdrawn(obx)]
        signer = read_signer(segments, self._settings.default_signer)
        return _state_report(about, verdict, read_report(kept), signer)

    def _is_withdrawn(self, observation: Segment) -> bool:
        verdict = self._statuses.look_up("OBX-11", observation.text(11))
        return verdict is not None and verdict.meaning is Meaning.WITHDRAWN

    def _document(self, message: Message) -> list[Event]:
        txa = message.first("TXA")
        key = self._places.find(message.segments)
        if txa is None or key is None:
            raise fault("no_accession")
        about = self._about(key, message, split_groups(message.segments))
        report = read_report([obx for obx in message.all("OBX") if is_narrative(obx) and not self._is_withdrawn(obx)])
        verdict = self._statuses.judge_document(txa.text(17), txa.text(19))
        return [_state_report(about, verdict, report, read_signer(message.segments, self._settings.default_signer))]

    def _demographics(self, message: Message) -> list[Event]:
        patient = read_patient(message.first("PID"), message.first("PV1"))
        if not patient.id:
            raise fault("no_patient")
        return [PatientUpdated(patient=patient, at=self._sent_at(message))]

    def _merge(self, message: Message) -> list[Event]:
        events: list[Event] = []
        patient = Patient()
        for segment in message.segments:
            if segment.name == "PID":
                patient = read_patient(segment)
            elif segment.name == "MRG":
                events.append(self._merged(patient, segment, self._sent_at(message)))
        if not events:
            raise fault("no_prior_patient")
        return events

    def _merged(self, patient: Patient, mrg: Segment, at: datetime) -> Event:
        prior = choose_id(mrg, 1)
        if not patient.id:
            raise fault("no_patient")
        if prior is None:
            raise fault("no_prior_patient")
        return PatientsMerged(patient=patient, prior_id=prior.text(), prior_issuer=prior.text(4), at=at)

    def _about(self, key: CaseKey, message: Message, groups: Sequence[OrderGroup]) -> _About:
        zone = read_offset(message.msh.text(7)) or self._zone
        order, study = Order(), Study()
        for group in reversed(groups):
            order, study = fill(order, read_order(group)), fill(study, read_study(group, zone))
        patient = read_patient(message.first("PID"), message.first("PV1"))
        return _About(key=key, at=self._sent_at(message), patient=patient, order=order, study=study)

    def _sent_at(self, message: Message) -> datetime:
        """MSH-7, which alone grows with every message of a sender; else the event's or the result's own time."""
        zone: tzinfo = read_offset(message.msh.text(7)) or self._zone
        evn, obr = message.first("EVN"), message.first("OBR")
        told = (message.msh.text(7), evn.text(2) if evn else "", obr.text(22) if obr else "")
        return next((at for text in told if (at := read_time(text, zone))), None) or self._clock()


def _state_report(about: _About, verdict: Verdict | None, report: ReportText, signer: Radiologist) -> Event:
    """The fact that a result or a document tells, by its state. Unsigned without a text, it tells only of the order."""
    key, at, patient, order, study = about.key, about.at, about.patient, about.order, about.study
    meaning = verdict.meaning if verdict else Meaning.UNSIGNED
    if verdict and meaning is Meaning.WITHDRAWN:
        return ReportWithdrawn(key=key, at=at, patient=patient, order=order, study=study, reason=verdict.reason)
    if meaning in (Meaning.SIGNED, Meaning.CORRECTED):
        corrected = meaning is Meaning.CORRECTED
        return ReportSigned(
            key=key, at=at, patient=patient, order=order, study=study, report=report, signer=signer, corrected=corrected
        )
    if report == ReportText():
        return OrderPlaced(key=key, at=at, patient=patient, order=order, study=study)
    return ReportDictated(key=key, at=at, patient=patient, order=order, study=study, report=report, signer=signer)
