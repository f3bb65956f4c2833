"""A report's context as one FHIR snapshot, so that it is read as a FHIR report is.

A hub takes resources unvalidated (2.10), and the standard's own examples have an object where FHIR has an array. So
they are straightened first, and what then still can't be read is a fault of the message, never of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from radbridge.audit import Subject
from radbridge.case import CaseKey
from radbridge.config import Site
from radbridge.errors import MessageFault
from radbridge_adapters.fhircast.message import Resource
from radbridge_adapters.fhircast.names import REPORT
from radbridge_adapters.fhircast.r5.report import to_r4
from radbridge_adapters.fhircast.session import Open, Session, Step
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.ours import SIGNED, UNSIGNED, WITHDRAWN
from radbridge_adapters.resources.patient import read_patient
from radbridge_adapters.resources.snapshot import Snapshot, key_of

_LISTS = frozenset(
    """identifier basedOn category performer resultsInterpreter result imagingStudy study presentedForm name given
    coding security conclusionCode specimen media series modality reasonCode bodySite note contained line address
    telecom section entry partOf derivedFrom hasMember component""".split()
)
"""Elements that repeat. Some repeat in one resource and not in another: those are left as they came."""
_TOLD = UNSIGNED | SIGNED | WITHDRAWN
_NOT_EVERYWHERE = frozenset(("ImagingStudy.series.modality", "Observation.bodySite", "name"))


class ContextReader:
    """Reads contexts by the site's tables."""

    def __init__(self, site: Site) -> None:
        self._accessions = Accessions.of(site)

    def find_key(self, context: Open | None) -> CaseKey | None:
        """Whose report an open context is; None when it is no report's, nothing says whose, or it can't be read."""
        if context is None or context.type != REPORT:
            return None
        try:
            with reading():
                return self._accessions.find(_snapshot_of(context))
        except MessageFault:
            return None

    def find_subjects(self, context: Open) -> list[Subject]:
        """Whose an open context is, as far as it says: a report's case, with its patient, or a patient."""
        try:
            with reading():
                patient = read_patient(context.resource("patient")).id
        except MessageFault:
            patient = ""
        key = self.find_key(context)
        return [Subject(entity=key, patient=patient)] if key or patient else []

    def find_keys(self, session: Session) -> dict[str, CaseKey]:
        """Whose reports are open, by the report's id."""
        return {c.id: key for c in session.contexts if (key := self.find_key(c)) is not None}

    def is_of(self, context: Open, key: CaseKey) -> bool:
        """Whether it is this case's report. Either side may leave the issuer out."""
        found = self.find_key(context)
        if found is None or found.accession != key.accession:
            return False
        return found.issuer == key.issuer or not (found.issuer and key.issuer)

    def find_outcome(self, before: Session, step: Step) -> str:
        """`signed` or `cancelled`, where an update says for the first time that this became of a report."""
        about = step.about
        known = before.find((about.type, about.id)) if about is not None else None
        if about is None or known is None or about.type != REPORT or step.event.name.verb != "update":
            return ""
        outcome = _outcome_of(about)
        return outcome if outcome != _outcome_of(known) else ""


def _outcome_of(context: Open) -> str:
    try:
        status = _snapshot_of(context).focus["status"]
    except MessageFault:
        return ""
    return "signed" if status in SIGNED else "cancelled" if status in WITHDRAWN else ""


def _snapshot_of(context: Open) -> Snapshot:
    return make_snapshot(context.id, context.context, context.content.values(), "R4")


@contextmanager
def reading() -> Iterator[None]:
    """Errors of reading an unvalidated resource, as a MessageFault."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # The error's own text may quote what it tripped over.
        raise MessageFault("malformed", f"a resource isn't as FHIR has it ({type(error).__name__})") from None


def make_snapshot(
    anchor: str, context: Sequence[Mapping[str, Any]], content: Iterable[Resource], fhir: str
) -> Snapshot:
    """The anchor report with all that is shared about it: its observations are its results, whoever linked them.

    A status that says nothing (`unknown`, or none) is read as `partial`: the report is open and being written.
    Raises MessageFault for what can't be read.
    """
    with reading():
        straight = to_r4 if fhir == "R5" else _straighten
        around = [straight(r) for item in context if isinstance(r := item.get("resource"), Mapping)]
        shared = [straight(r) for r in content]
        reports = [r for r in (*around, *shared) if key_of(r) == f"{REPORT}/{anchor}"]
        report: dict[str, Any] = {"resourceType": REPORT, "id": anchor}
        for one in reports:
            report |= one
        if report.get("status") not in _TOLD:
            report["status"] = "partial"
        others = [r for r in (*around, *shared) if key_of(r) != key_of(report)]
        return Snapshot(report | _link(report, others), others)


def _link(report: Resource, others: Sequence[Resource]) -> dict[str, Any]:
    """The references that a context leaves out, since everything in it belongs together."""
    by_type: dict[str, list[dict[str, str]]] = {}
    for one in others:
        by_type.setdefault(str(one["resourceType"]), []).append({"reference": key_of(one)})
    links: dict[str, Any] = {"result": by_type.get("Observation", [])}
    if not report.get("imagingStudy"):
        links["imagingStudy"] = by_type.get("ImagingStudy", [])
    if not report.get("subject") and by_type.get("Patient"):
        links["subject"] = by_type["Patient"][0]
    if not report.get("basedOn"):
        own = by_type.get("ServiceRequest", [])
        links["basedOn"] = own or [r for one in others for r in one.get("basedOn", ()) if "basedOn" in one]
    return links


def _straighten(resource: Resource) -> Resource:
    """One object where FHIR has an array becomes an array of it, at the top of the resource."""
    return {
        name: [value] if name in _LISTS and isinstance(value, Mapping) and not _is_single(resource, name) else value
        for name, value in resource.items()
    }


def _is_single(resource: Resource, name: str) -> bool:
    return f"{resource.get('resourceType')}.{name}" in _NOT_EVERYWHERE
