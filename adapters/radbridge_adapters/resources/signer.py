"""The designated signer: who interprets, else the practitioner who performs, else the site's default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radbridge.case import Radiologist
from radbridge_adapters.resources.patient import choose_identifier, read_name
from radbridge_adapters.resources.references import parse_reference
from radbridge_adapters.resources.snapshot import Resource, Snapshot

PLACES = ("resultsInterpreter", "performer")
_PEOPLE = frozenset({"Practitioner", "PractitionerRole"})


def read_signer(snapshot: Snapshot, default: str = "") -> Radiologist:
    """Who is to sign the report that is the focus."""
    report = snapshot.focus
    for place in PLACES:
        for reference in report.get(place, ()):
            signer = _person(reference, report, snapshot)
            if signer.id:
                return signer
    return Radiologist(id=default)


def _person(reference: Mapping[str, Any], owner: Resource, snapshot: Snapshot) -> Radiologist:
    found = snapshot.find(reference, owner)
    if found is not None and found["resourceType"] == "PractitionerRole":
        person = found.get("practitioner", {})
        reference = person or reference
        found = snapshot.find(person, found) or found
    if found is not None and found["resourceType"] in _PEOPLE:
        number = choose_identifier(found).get("value") or found.get("id", "")
        return Radiologist(id=str(number), name=read_name(found.get("name", ())) or reference.get("display", ""))
    return Radiologist(id=_named_by(reference), name=reference.get("display", ""))


def _named_by(reference: Mapping[str, Any]) -> str:
    """The id of somebody whose resource isn't known: the identifier in the Reference, else the id it points at."""
    if number := reference.get("identifier", {}).get("value"):
        return str(number)
    literal = parse_reference(reference.get("reference", ""))
    return literal.id if literal and literal.type in _PEOPLE else ""
