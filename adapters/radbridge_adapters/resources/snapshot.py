"""What the journal keeps of a FHIR write: a resource with all that it referred to at that moment, in one Bundle.

A translator may look at nothing but the journaled bytes, so that a replay gives the same facts; and a DiagnosticReport
says little without its patient, order and observations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from radbridge_adapters.resources.json import read_json, write_json
from radbridge_adapters.resources.references import parse_reference

Resource = Mapping[str, Any]


def make_snapshot(focus: Resource, neighbours: Iterable[Resource]) -> bytes:
    """A collection Bundle, `focus` first, then its neighbours by type and id: equal contents are equal bytes."""
    others = {key: one for one in neighbours if (key := key_of(one)) != key_of(focus)}
    resources = [focus, *(others[key] for key in sorted(others))]
    entries = [{"resource": resource} for resource in resources]
    return write_json({"resourceType": "Bundle", "type": "collection", "entry": entries})


def key_of(resource: Resource) -> str:
    """`Patient/12`."""
    return f"{resource.get('resourceType', '')}/{resource.get('id', '')}"


class Snapshot:
    """A snapshot being read: the focus, and references looked up among what came with it."""

    def __init__(self, focus: Resource, neighbours: Iterable[Resource] = ()) -> None:
        self.focus = focus
        self._by_key = {key_of(one): one for one in (focus, *neighbours)}

    @classmethod
    def parse(cls, raw: bytes) -> Snapshot:
        """Raises Issues when `raw` is no JSON, and ValueError when it is no snapshot."""
        entries = read_json(raw).get("entry") or ()
        resources = [entry["resource"] for entry in entries]
        if not resources:
            raise ValueError("a snapshot without entries")
        return cls(resources[0], resources[1:])

    @property
    def resources(self) -> list[Resource]:
        """All of it, the focus first."""
        return list(self._by_key.values())

    def all(self, resource_type: str) -> list[Resource]:
        """Every resource of a type, contained ones of the focus included, in order."""
        return [
            one for one in (*self._by_key.values(), *_contained(self.focus)) if one["resourceType"] == resource_type
        ]

    def find(self, reference: Any, owner: Resource) -> Resource | None:
        """What a Reference in `owner` points at; None when the snapshot doesn't hold it."""
        text = reference.get("reference") if isinstance(reference, dict) else None
        if not text:
            return None
        if text.startswith("#"):
            return next((one for one in _contained(owner) if one.get("id") == text[1:]), None)
        literal = parse_reference(text)
        return self._by_key.get(literal.key) if literal else None

    def find_all(self, references: Any, owner: Resource) -> list[Resource]:
        """What a list of References points at, as far as it is here."""
        found = (self.find(reference, owner) for reference in references or ())
        return [one for one in found if one is not None]


def _contained(owner: Resource) -> list[Resource]:
    return [one for one in owner.get("contained", ()) if isinstance(one, dict)]
