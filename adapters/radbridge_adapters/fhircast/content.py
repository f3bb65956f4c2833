"""The content of an anchor context: the fold of its accepted updates (FHIRcast 3.0, 2.10 and 3.6.3). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.message import Resource

Content = Mapping[str, Resource]
"""`Observation/1` -> the resource, in the order in which each first came."""

MOST_RESOURCES = 500
"""In one content: what a report has is some dozens."""
_REFERENCE = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/.*)?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One entry of an update: the resource put there, or None for one taken away."""

    reference: str
    resource: Resource | None = field(repr=False)


def read_changes(updates: object, *, post_is_put: bool = False) -> tuple[Change, ...]:
    """What an `updates` item asks for. Raises CastFault 400; then nothing of it counts.

    `post_is_put` reads POST as PUT, for a vendor whose published example sends it.
    """
    bundle = updates.get("resource") if isinstance(updates, Mapping) else None
    if not isinstance(bundle, Mapping) or bundle.get("resourceType") != "Bundle":
        raise CastFault(400, "no_updates", "event.context has no 'updates' with a Bundle", where="updates")
    if bundle.get("type") != "transaction":
        raise CastFault(400, "bundle_type", "the Bundle of 'updates' must be of type transaction", where="Bundle.type")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise CastFault(400, "entry", "Bundle.entry must be an array of objects", where="Bundle.entry")
    changes = tuple(
        _read_entry(entry, f"Bundle.entry[{n}]", post_is_put=post_is_put) for n, entry in enumerate(entries)
    )
    named = [change.reference for change in changes]
    if len(set(named)) != len(named):
        raise CastFault(400, "twice", "a resource stands twice in the Bundle", where="Bundle.entry")
    return changes


def _read_entry(entry: Mapping[str, Any], where: str, *, post_is_put: bool) -> Change:
    request = entry.get("request")
    method = request.get("method") if isinstance(request, Mapping) else None
    resource = entry.get("resource")
    if method == "PUT" or (method == "POST" and post_is_put):
        if not isinstance(resource, Mapping):
            raise CastFault(400, "no_resource", f"{where} puts no resource", where=where)
        return Change(reference=_require(_name(resource), where), resource=resource)
    if method == "DELETE":
        asked = (entry.get("fullUrl"), request.get("url") if isinstance(request, Mapping) else None)
        named = next((name for said in asked if isinstance(said, str) and (name := _relative(said))), "")
        named = named or (_name(resource) if isinstance(resource, Mapping) else "")
        return Change(reference=_require(named, where), resource=None)
    raise CastFault(400, "method", f"{where}.request.method must be PUT or DELETE", where=f"{where}.request.method")


def _name(resource: Resource) -> str:
    kind, identifier = resource.get("resourceType"), resource.get("id")
    return _relative(f"{kind}/{identifier}") if isinstance(kind, str) and isinstance(identifier, str) else ""


def _relative(reference: str) -> str:
    match = _REFERENCE.search(reference)
    return f"{match[1]}/{match[2]}" if match else ""


def _require(reference: str, where: str) -> str:
    if not reference:
        raise CastFault(400, "no_resource_id", f"{where} names no resource by type and id", where=where)
    return reference


def apply_changes(content: Content, changes: Sequence[Change]) -> dict[str, Resource]:
    """The content after all changes. Raises CastFault 413 when it would hold too much.

    Taking away what isn't there is no fault: it isn't there.
    """
    after = dict(content)
    for change in changes:
        if change.resource is None:
            after.pop(change.reference, None)
        else:
            after[change.reference] = change.resource
    if len(after) > MOST_RESOURCES:
        raise CastFault(413, "too_much", f"a context holds at most {MOST_RESOURCES} resources")
    return after


def collect(content: Content, bundle_id: str) -> dict[str, Any]:
    """The `content` of "get current context": a collection whose entries have no request (2.9)."""
    bundle: dict[str, Any] = {"resourceType": "Bundle", "id": bundle_id, "type": "collection"}
    if content:
        bundle["entry"] = [{"resource": resource} for resource in content.values()]
    return bundle


def write_update(changes: Sequence[Change], bundle_id: str) -> dict[str, Any]:
    """The Bundle of an update of ours. Medplum's client doesn't send one without an id, so each has one."""
    return {
        "resourceType": "Bundle",
        "id": bundle_id,
        "type": "transaction",
        "entry": [
            {"fullUrl": change.reference, "request": {"method": "DELETE", "url": change.reference}}
            if change.resource is None
            else {"request": {"method": "PUT", "url": change.reference}, "resource": change.resource}
            for change in changes
        ],
    }
