"""Snapshots to facts. Pure but for the clock, which stands in where a snapshot tells no time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from radbridge.case import CaseKey, Order, Patient, ReportText, Study
from radbridge.config import Site
from radbridge.errors import MessageFault
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
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.codes import DIAGNOSTIC_SERVICE, RADIOLOGY_SERVICES
from radbridge_adapters.resources.order import read_order, read_study
from radbridge_adapters.resources.ours import SIGNED, UNSIGNED, WITHDRAWN, is_ours
from radbridge_adapters.resources.patient import read_patient
from radbridge_adapters.resources.report import read_report
from radbridge_adapters.resources.signer import read_signer
from radbridge_adapters.resources.snapshot import Resource, Snapshot
from radbridge_adapters.resources.times import read_moment

FOCUSES = frozenset({"DiagnosticReport", "ImagingStudy", "Patient", "ServiceRequest"})
"""Types whose snapshots tell a fact."""
_REVOKED = frozenset({"revoked", "entered-in-error"})
_NO_ORDER = frozenset({"proposal", "plan", "directive", "option"})
"""ServiceRequest.intent of what nobody has ordered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What every fact of one accession carries."""

    key: CaseKey
    at: datetime
    patient: Patient
    order: Order
    study: Study


class SnapshotTranslator:
    """Translates by the site's tables; a `radbridge.wire.Wire.translate`."""

    def __init__(
        self,
        accessions: Accessions,
        default_signer: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._accessions = accessions
        self._default_signer = default_signer
        self._clock = clock
        self._readers: dict[str, Callable[[Snapshot], Sequence[Event]]] = {
            "DiagnosticReport": self._report,
            "ImagingStudy": self._order,
            "Patient": self._patient,
            "ServiceRequest": self._order,
        }

    @classmethod
    def of(cls, site: Site) -> SnapshotTranslator:
        """The translator that a site's file describes."""
        return cls(Accessions.of(site), site.fhir.default_signer)

    def __call__(self, raw: bytes) -> Sequence[Event]:
        """The facts that one snapshot tells. Raises MessageFault for what is no snapshot."""
        try:
            return self.read(Snapshot.parse(raw))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise MessageFault("no_snapshot", "the journaled bytes are no FHIR snapshot") from None

    def read(self, snapshot: Snapshot) -> Sequence[Event]:
        """The facts about the focus; none when it has no accession, or no part in a report."""
        reader = self._readers.get(snapshot.focus["resourceType"])
        return reader(snapshot) if reader else ()

    def about(self, snapshot: Snapshot) -> About | None:
        """Accession, patient, order and study of the focus; None when nothing names an accession."""
        focus, key = snapshot.focus, self._accessions.find(snapshot)
        if key is None:
            return None
        subject = focus.get("subject")
        return About(
            key=key,
            at=self._told_at(snapshot),
            patient=read_patient(_survivor(snapshot, snapshot.find(subject, focus)), subject),
            order=read_order(snapshot),
            study=read_study(snapshot),
        )

    def _report(self, snapshot: Snapshot) -> Sequence[Event]:
        focus, status = snapshot.focus, snapshot.focus.get("status")
        if (is_ours(focus) and status in UNSIGNED) or not _is_imaging(focus):
            return ()
        about = self.about(snapshot)
        return [event] if about and (event := self._state(about, str(status), snapshot)) else ()

    def _state(self, about: About, status: str, snapshot: Snapshot) -> Event | None:
        """The fact that a report tells by its status; `unknown` tells none."""
        key, at, patient, order, study = about.key, about.at, about.patient, about.order, about.study
        if status in WITHDRAWN:
            return ReportWithdrawn(key=key, at=at, patient=patient, order=order, study=study, reason="deleted")
        report, signer = read_report(snapshot), read_signer(snapshot, self._default_signer)
        if status in SIGNED:
            return ReportSigned(
                key=key,
                at=at,
                patient=patient,
                order=order,
                study=study,
                report=report,
                signer=signer,
                corrected=status != "final",
            )
        if status not in UNSIGNED:
            return None
        if report == ReportText():
            return OrderPlaced(key=key, at=at, patient=patient, order=order, study=study)
        return ReportDictated(key=key, at=at, patient=patient, order=order, study=study, report=report, signer=signer)

    def _order(self, snapshot: Snapshot) -> Sequence[Event]:
        focus = snapshot.focus
        about = self.about(snapshot)
        if about is None or focus.get("intent") in _NO_ORDER:
            return ()
        event = OrderCancelled if focus.get("status") in _REVOKED else OrderPlaced
        return [event(key=about.key, at=about.at, patient=about.patient, order=about.order, study=about.study)]

    def _patient(self, snapshot: Snapshot) -> Sequence[Event]:
        """Demographics; and a merge, told from whichever of the two records is linked (R4 patient.html#links)."""
        focus, at = snapshot.focus, self._told_at(snapshot)
        own = read_patient(focus)
        for link in focus.get("link", ()):
            other = read_patient(snapshot.find(link.get("other"), focus), link.get("other"))
            pairs = {"replaced-by": (other, own), "replaces": (own, other)}
            survivor, prior = pairs.get(link.get("type"), (Patient(), Patient()))
            if survivor.id and prior.id:
                return [PatientsMerged(patient=survivor, prior_id=prior.id, prior_issuer=prior.issuer, at=at)]
        return [PatientUpdated(patient=own, at=at)] if own.id else ()

    def _told_at(self, snapshot: Snapshot) -> datetime:
        """When the newest part of the snapshot was stored, else when the report was issued."""
        stored = [at for one in snapshot.resources if (at := _stored_at(one))]
        return max(stored, default=None) or read_moment(snapshot.focus.get("issued", "")) or self._clock()


def _survivor(snapshot: Snapshot, patient: Resource | None) -> Resource | None:
    """The record that took a patient's place: after a merge, reports go on naming the old one."""
    seen: list[Resource] = []
    while patient is not None and not any(patient is one for one in seen):
        seen.append(patient)
        links = (link for link in patient.get("link", ()) if link.get("type") == "replaced-by")
        following = next((found for link in links if (found := snapshot.find(link.get("other"), seen[-1]))), None)
        patient = following or patient
    return patient


def _stored_at(resource: Resource) -> datetime | None:
    return read_moment(resource.get("meta", {}).get("lastUpdated", ""))


def _is_imaging(report: Resource) -> bool:
    """False for a report of another diagnostic service: a laboratory's has an accession too."""
    codings = [coding for concept in report.get("category", ()) for coding in concept.get("coding", ())]
    services = {coding.get("code") for coding in codings if coding.get("system") == DIAGNOSTIC_SERVICE}
    return not services or bool(services & RADIOLOGY_SERVICES)
