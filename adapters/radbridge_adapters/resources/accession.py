"""Which accession a resource speaks of, and who issued it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from radbridge.case import CaseKey
from radbridge.config import Site
from radbridge_adapters.resources.codes import ACCESSION_SYSTEM, IDENTIFIER_TYPE
from radbridge_adapters.resources.snapshot import Resource, Snapshot

MAX_CHARS = 250
"""Of an accession: a longer number is none, and no index would take it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accessions:
    """How a site's FHIR systems mark accession numbers. Issuers are named as on the other wires."""

    types: frozenset[str]
    """Codes of table v2-0203."""
    systems: frozenset[str]
    """Identifier systems of the site's own accession numbers: such an identifier needs no type."""
    issuer: str = ""
    """The site's own."""
    issuers: Mapping[str, str] = field(default_factory=dict)
    """An assigner's name, or a system -> what the site calls that issuer."""

    @classmethod
    def of(cls, site: Site) -> Accessions:
        """As the site's file says; the issuers are those of its HL7 messages, so that both wires meet in one case."""
        return cls(
            types=frozenset(site.fhir.accession_types),
            systems=frozenset(site.fhir.accession_systems),
            issuer=site.hl7v2.issuer,
            issuers=site.hl7v2.issuers,
        )

    def find(self, snapshot: Snapshot) -> CaseKey | None:
        """The key of the focus: its own identifiers, then its order's, then its study's; None when none is one."""
        return next((key for identifier in _identifiers(snapshot) if (key := self.read(identifier))), None)

    def read(self, identifier: Mapping[str, Any]) -> CaseKey | None:
        """The key that one Identifier is; None when it is no accession."""
        number = str(identifier.get("value", "")).strip()
        if not 0 < len(number) <= MAX_CHARS or not self._is_accession(identifier):
            return None
        return CaseKey(accession=number, issuer=self._issuer_of(identifier))

    def _is_accession(self, identifier: Mapping[str, Any]) -> bool:
        if identifier.get("system") == ACCESSION_SYSTEM:
            return False  # of a draft of ours, which says by its order who issued the number
        if identifier.get("system") in self.systems:
            return True
        codings = identifier.get("type", {}).get("coding", ())
        return any(c.get("system", IDENTIFIER_TYPE) == IDENTIFIER_TYPE and c.get("code") in self.types for c in codings)

    def _issuer_of(self, identifier: Mapping[str, Any]) -> str:
        """The assigner, else the system: a foreign one stays what it is, since accessions repeat across sites."""
        assigner, system = identifier.get("assigner", {}), identifier.get("system", "")
        named = [assigner.get("identifier", {}).get("value", ""), assigner.get("display", ""), system]
        for name in named:
            if name in self.issuers:
                return self.issuers[name]
        if system in self.systems:
            return self.issuer
        return next((name for name in named if name), self.issuer)


def _identifiers(snapshot: Snapshot) -> Iterable[Mapping[str, Any]]:
    focus = snapshot.focus
    yield from _own(focus)
    for name in ("basedOn", "imagingStudy"):
        for reference in focus.get(name, ()):
            if "identifier" in reference:  # a logical reference: the order is known by its number only
                yield reference["identifier"]
            yield from _of(snapshot.find(reference, focus))


def _of(resource: Resource | None) -> Iterable[Mapping[str, Any]]:
    return _own(resource) if resource else ()


def _own(resource: Resource) -> Iterable[Mapping[str, Any]]:
    """Its identifiers; a Composition has one alone and no list (R4 composition.html)."""
    found = resource.get("identifier", ())
    return [found] if isinstance(found, dict) else found
