"""Which accession a group of segments speaks of: the site's list of places, first that is valued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from radbridge.case import CaseKey
from radbridge_adapters.hl7v2.er7 import Segment, Value


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessionPlaces:
    """Where a site keeps accession numbers, and how it names their issuers."""

    places: tuple[tuple[str, int], ...]
    issuer: str = ""
    """Where a message names none."""
    issuers: Mapping[str, str] = field(default_factory=dict)
    """What a message calls an issuer -> what the site calls it."""

    def find(self, segments: Sequence[Segment]) -> CaseKey | None:
        """The key that these segments name; None when they name no accession."""
        accession = self.find_number(segments)
        return CaseKey(accession=accession, issuer=self._issuer_of(accession, segments)) if accession else None

    def find_number(self, segments: Sequence[Segment]) -> str:
        """The accession without its issuer; empty when there is none."""
        for name, position in self.places:
            for segment in segments:
                if segment.name == name and (number := segment.text(position).strip()):
                    return number
        return ""

    def _values(self, segments: Sequence[Segment]) -> list[Value]:
        return [
            repeats[0]
            for name, position in self.places
            for segment in segments
            if segment.name == name and (repeats := segment.repeats(position))
        ]

    def _issuer_of(self, accession: str, segments: Sequence[Segment]) -> str:
        """EI-2, else EI-3, of any place that names this accession: OBR-18 is a bare string, OBR-3 often isn't."""
        for value in self._values(segments):
            named = value.text(2) or value.text(3)
            if named and value.text().strip() == accession:
                return self.issuers.get(named, named)
        return self.issuer


def parse_places(names: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """`OBR-18` as segment and field."""
    pairs = (name.split("-", 1) for name in names)
    return tuple((segment, int(position)) for segment, position in pairs)
