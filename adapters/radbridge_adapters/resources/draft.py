"""A draft as FHIR resources: the impression's Observation, a DiagnosticReport of its own, and their Provenance.

The hospital's report is never touched: ours stands beside it with the same accession and order, known by an identifier
that is the same for every draft of a case.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from radbridge.case import Case, Code
from radbridge.draft import DraftImpression
from radbridge_adapters.resources import extensions
from radbridge_adapters.resources.case_names import CaseNamer
from radbridge_adapters.resources.codes import (
    ACCESSION,
    ACCESSION_SYSTEM,
    AIAST,
    ASSEMBLER,
    CANONICAL,
    DATA_OPERATION,
    DRAFT_SYSTEM,
    IMAGING,
    IMPRESSION,
    RADIOLOGY,
    RECORD_NUMBER,
    REPORT,
    coding,
    concept,
)
from radbridge_adapters.resources.json import read_json, write_json
from radbridge_adapters.resources.references import find_references
from radbridge_adapters.resources.times import write_instant

Document = dict[str, Any]

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, DRAFT_SYSTEM)
_SYSTEMS = {"LN": "http://loinc.org", "SCT": "http://snomed.info/sct", "C4": "http://www.ama-assn.org/go/cpt"}
"""HL7 v2 names of code systems (table 0396) -> FHIR's."""
_FROM_SOURCE = ("subject", "basedOn", "encounter", "imagingStudy")
"""What a draft has in common with the hospital's own report, or order."""


class Unverified(StrEnum):
    """The states that our resources leave with. There is no other."""

    PARTIAL = "partial"
    PRELIMINARY = "preliminary"
    ENTERED_IN_ERROR = "entered-in-error"


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftResources:
    """The three resources of one draft. They refer to one another by the URNs, until a server has given them ids."""

    name: str
    """Of the case, for identifiers and ids."""
    observation: Mapping[str, Any] = field(repr=False)
    report: Mapping[str, Any] = field(repr=False)
    provenance: Mapping[str, Any] = field(repr=False)

    @property
    def urns(self) -> tuple[str, str, str]:
        """The fullUrls of observation, report and provenance."""
        kinds = ("Observation", "DiagnosticReport", "Provenance")
        first, second, third = (_urn(self.name, kind) for kind in kinds)
        return first, second, third

    @property
    def tag(self) -> str:
        """Which of the case's drafts it is, and whether it takes that one back."""
        return str(self.report["meta"]["tag"][0]["code"])

    @property
    def is_withdrawn(self) -> bool:
        """Whether it takes the draft back."""
        return bool(self.report["status"] == Unverified.ENTERED_IN_ERROR)

    @property
    def accession(self) -> Mapping[str, Any]:
        """The accession number as the hospital has it, in an Identifier."""
        number: Mapping[str, Any] = self.report["basedOn"][0]["identifier"]
        return number

    @classmethod
    def parse(cls, raw: bytes) -> DraftResources:
        """The draft that `write_json(draft.bundle())` was."""
        observation, report, provenance = (entry["resource"] for entry in read_json(raw)["entry"])
        name = observation["identifier"][0]["value"]
        return cls(name=name, observation=observation, report=report, provenance=provenance)

    def placed(self, references: Mapping[str, str]) -> tuple[Document, Document, Document]:
        """Observation, report and provenance with `Type/id` for those of the URNs that a server has given an id."""
        bundle = read_json(write_json(self.bundle()))
        for _, reference in find_references(bundle, ""):
            reference["reference"] = references.get(reference["reference"], reference["reference"])
        observation, report, provenance = (entry["resource"] for entry in bundle["entry"])
        return observation, report, provenance

    def bundle(self) -> Document:
        """All three as a collection."""
        resources = (self.observation, self.report, self.provenance)
        entries = [{"fullUrl": url, "resource": one} for url, one in zip(self.urns, resources, strict=True)]
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}


class Composer:
    """Writes drafts; the same case and draft always give the same resources."""

    def __init__(self, name_of: CaseNamer, *, ttl: timedelta) -> None:
        self._name_of = name_of
        self._ttl = ttl

    def compose(self, case: Case, draft: DraftImpression) -> DraftResources:
        """The draft, unverified and labelled as a machine's."""
        text = _clean(draft.text)
        flags = [extensions.flag(flag) for flag in draft.flags]
        made = self._write(case, draft, Unverified.PRELIMINARY, Unverified.PARTIAL, flags)
        if not text:
            return made
        return replace(
            made, observation={**made.observation, "valueString": text}, report={**made.report, "conclusion": text}
        )

    def withdraw(self, case: Case, draft: DraftImpression) -> DraftResources:
        """The same resources, declared an error and without their text (rule 3)."""
        wrong = Unverified.ENTERED_IN_ERROR
        return self._write(case, draft, wrong, wrong, [])

    def _write(
        self, case: Case, draft: DraftImpression, observed: Unverified, reported: Unverified, flags: list[Document]
    ) -> DraftResources:
        name, is_withdrawn = self._name_of(case.key), observed is Unverified.ENTERED_IN_ERROR
        tag = f"{draft.id}-withdrawn" if is_withdrawn else draft.id
        origin = extensions.of_draft(draft, self._ttl)
        told = [*origin, *flags]
        shared = {"subject": _subject(case), "basedOn": [{"type": "ServiceRequest", "identifier": _accession(case)}]}
        at = write_instant(draft.made_at)
        observation = {
            "resourceType": "Observation",
            "meta": _meta("draft-impression", tag),
            "extension": told,
            "identifier": [{"system": DRAFT_SYSTEM, "value": name}],
            "status": observed.value,
            "category": [concept(IMAGING)],
            "code": concept(IMPRESSION),
            **shared,
            "effectiveDateTime": write_instant(case.study.at) if case.study.at else "",
            "issued": at,
        }
        report = {
            "resourceType": "DiagnosticReport",
            "meta": _meta("draft-report", tag),
            "extension": told,
            "identifier": [
                {"system": DRAFT_SYSTEM, "value": name},
                {"type": concept(ACCESSION), "system": ACCESSION_SYSTEM, "value": case.key.accession},
            ],
            "status": reported.value,
            "category": [concept(RADIOLOGY)],
            "code": _procedure(case.order.procedure),
            **shared,
            "effectiveDateTime": observation["effectiveDateTime"],
            "issued": at,
            "result": [{"reference": _urn(name, "Observation")}],
        }
        return DraftResources(
            name=name,
            observation=_prune(observation),
            report=_prune(report),
            provenance=_provenance(case, draft, name, tag, origin, is_withdrawn=is_withdrawn),
        )


def link_to(resources: DraftResources, source: Mapping[str, Any]) -> DraftResources:
    """The draft beside the hospital's own report, or order, `source`: the same patient, order and study."""
    kind, id = source["resourceType"], source["id"]
    shared = {name: source[name] for name in _FROM_SOURCE if name in source}
    if kind == "ServiceRequest":
        shared["basedOn"] = [{"reference": f"ServiceRequest/{id}"}]
    if "subject" in shared:
        shared["subject"] = {**resources.report.get("subject", {}), **shared["subject"]}
    if len(shared.get("basedOn", ())) == 1:
        shared["basedOn"] = [{**resources.report["basedOn"][0], **shared["basedOn"][0]}]
    observed = {name: value for name, value in shared.items() if name != "imagingStudy"}
    return replace(
        resources,
        observation={**resources.observation, **observed},
        report={**resources.report, **shared},
        provenance={
            **resources.provenance,
            "entity": [{"role": "source", "what": {"reference": f"{kind}/{id}"}}],
        },
    )


def _provenance(
    case: Case, draft: DraftImpression, name: str, tag: str, origin: list[Document], *, is_withdrawn: bool
) -> Document:
    operation = Code(value="DELETE" if is_withdrawn else "CREATE", system=DATA_OPERATION)
    return _prune(
        {
            "resourceType": "Provenance",
            "meta": _meta("draft-provenance", tag),
            "extension": [*origin, *extensions.of_model(draft)],
            "target": [{"reference": _urn(name, kind)} for kind in ("DiagnosticReport", "Observation")],
            "recorded": write_instant(draft.made_at),
            "activity": {"coding": [coding(operation)]},
            "agent": [{"type": concept(ASSEMBLER), "who": {"display": "RadBridge"}}],
            "entity": [{"role": "source", "what": {"type": "DiagnosticReport", "identifier": _accession(case)}}],
        }
    )


def _meta(profile: str, tag: str) -> Document:
    return {
        "profile": [f"{CANONICAL}/StructureDefinition/{profile}"],
        "security": [coding(AIAST)],
        "tag": [{"system": DRAFT_SYSTEM, "code": tag}],
    }


def _accession(case: Case) -> Document:
    issuer = case.key.issuer
    return _prune({"type": concept(ACCESSION), **_issued_by(issuer), "value": case.key.accession})


def _subject(case: Case) -> Document:
    """Who it is, by the number only: a server that knows the patient knows the rest."""
    patient = case.patient
    if not patient.id:
        return {}
    number = _prune({"type": concept(RECORD_NUMBER), **_issued_by(patient.issuer), "value": patient.id})
    return {"type": "Patient", "identifier": number}


def _issued_by(issuer: str) -> Document:
    """A URI is a system; a name, as HL7 v2 has it, is the assigner's."""
    if ":" in issuer and " " not in issuer:
        return {"system": issuer}
    return {"assigner": {"display": issuer}} if issuer else {}


def _procedure(code: Code) -> Document:
    """The procedure's own code, as a draft is found by it; without one, a diagnostic imaging report."""
    if not code.value and not code.display:
        return concept(REPORT)
    system = _SYSTEMS.get(code.system, code.system)
    one = _prune({"system": system if ":" in system else "", "code": code.value, "display": code.display})
    return _prune({"coding": [one] if code.value else [], "text": code.display})


def _urn(name: str, kind: str) -> str:
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{name}/{kind}')}"


def _clean(text: str) -> str:
    """Without the control characters that no FHIR string may have."""
    return "".join(c for c in text if c >= " " or c in "\n\t").strip()


def _prune(document: Document) -> Document:
    return {name: value for name, value in document.items() if value not in ("", [], {})}
