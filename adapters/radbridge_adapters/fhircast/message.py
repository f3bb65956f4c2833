"""One event as it travels (FHIRcast 3.0, 2.5 and 2.6), and its context items in all shapes that occur."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from radbridge.errors import MessageFault
from radbridge.journal.types import MAX_KEY_BYTES, is_too_long
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.names import REPORT, EventName, parse_name
from radbridge_adapters.resources.json import read_json

Resource = Mapping[str, Any]

_LONGEST_ID = 256
_KEYS = ("id", "system", "value", "reference", "display")
"""Elements of a resource that a case, its issuer, a patient or a signer is found by."""
_ANCHOR_KEYS = {REPORT: "report", "ImagingStudy": "study"}
"""Context keys that aren't the type in lower case."""
_ANCHORED = frozenset(("open", "update", "select", "close"))


@dataclass(frozen=True, kw_only=True, slots=True)
class EventMessage:
    """One event."""

    id: str
    timestamp: str
    """As its sender wrote it: a resent event keeps its own."""
    at: datetime
    topic: str = field(repr=False)
    """Whoever knows it may take part in the session: a secret."""
    name: EventName
    version: str = ""
    """`context.versionId`"""
    prior: str = ""
    """`context.priorVersionId`"""
    context: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    def item(self, key: str) -> Mapping[str, Any] | None:
        """The context item under `key`."""
        return next((item for item in self.context if item.get("key") == key), None)

    @property
    def anchor(self) -> tuple[str, str]:
        """Type and id of the resource that the event is about; empty for an infrastructure event.

        Raises CastFault when an event that needs one names none.
        """
        if self.name.verb not in _ANCHORED or self.name.resource == "Home":
            return "", ""
        key = anchor_key(self.name.resource)
        item = self.item(key)
        references = () if item is None else tuple(references_of(item))
        found = next((r for r in references if r.startswith(f"{self.name.resource}/")), "")
        if not found:
            raise CastFault(400, "no_anchor", f"event.context has no {key!r} with a resource's id", where=key)
        return self.name.resource, found.partition("/")[2]

    def write(self, topic: str) -> dict[str, Any]:
        """The event as JSON has it, for the session `topic`."""
        event: dict[str, Any] = {"hub.topic": topic, "hub.event": str(self.name)}
        if self.version:
            event["context.versionId"] = self.version
        if self.prior:
            event["context.priorVersionId"] = self.prior
        event["context"] = list(self.context)
        return {"timestamp": self.timestamp, "id": self.id, "event": event}

    def versioned(self, version: str, prior: str = "") -> EventMessage:
        """The same event with the hub's versions."""
        return replace(self, version=version, prior=prior)


def anchor_key(resource_type: str) -> str:
    """The context key of an anchor of this type."""
    return _ANCHOR_KEYS.get(resource_type, resource_type.lower())


def references_of(item: Mapping[str, Any]) -> Iterable[str]:
    """`Type/id` of each resource that an item holds or names.

    3.0.0 writes `reference` as an object; its ballots wrote a resource, or a list of references.
    """
    resource = item.get("resource")
    if isinstance(resource, Mapping):
        if isinstance(resource.get("id"), str) and resource["id"]:
            yield f"{resource.get('resourceType')}/{resource['id']}"
        if isinstance(resource.get("reference"), str):
            yield resource["reference"]
    said = item.get("reference")
    for reference in said if isinstance(said, list) else [said]:
        if isinstance(reference, Mapping) and isinstance(reference.get("reference"), str):
            yield _relative(reference["reference"])


def _relative(reference: str) -> str:
    """`Type/id` of an absolute, versioned or relative reference."""
    parts = reference.partition("/_history/")[0].rstrip("/").split("/")
    return "/".join(parts[-2:])


def refer(key: str, resource_type: str, resource_id: str) -> dict[str, Any]:
    """A context item by reference, as 3.0.0 has it."""
    return {"key": key, "reference": {"reference": f"{resource_type}/{resource_id}"}}


def parse_event(raw: bytes) -> EventMessage:
    """The event in `raw`. Raises CastFault 400 for what is none."""
    try:
        document = read_json(raw)
    except MessageFault as fault:
        raise CastFault(400, fault.reason, str(fault)) from None
    return read_event(document)


def read_event(document: Mapping[str, Any]) -> EventMessage:
    """The event that `document` is. Raises CastFault 400 for what is none."""
    event = document.get("event")
    if not isinstance(event, Mapping):
        raise CastFault(400, "no_event", "the body has no 'event' object", where="event")
    identifier = _text(document, "id")
    if not identifier or len(identifier) > _LONGEST_ID:
        raise CastFault(400, "no_id", f"'id' must be a string of 1 to {_LONGEST_ID} characters", where="id")
    context = event.get("context", [])
    if not isinstance(context, list) or not all(isinstance(item, Mapping) for item in context):
        raise CastFault(400, "context", "event.context must be an array of objects", where="event.context")
    if _has_long_key(context):
        text = f"an identifier in event.context is longer than {MAX_KEY_BYTES} bytes: nothing is found by it"
        raise CastFault(400, "key_too_long", text, where="event.context")
    timestamp = _text(document, "timestamp")
    return EventMessage(
        id=identifier,
        timestamp=timestamp,
        at=read_time(timestamp),
        topic=_text(event, "hub.topic"),
        name=parse_name(_text(event, "hub.event")),
        version=_text(event, "context.versionId"),
        prior=_text(event, "context.priorVersionId"),
        context=context,
    )


def _has_long_key(value: Any) -> bool:
    """Whether an identifier, an id or a name of an issuer anywhere in it would fit into no index."""
    inside = [value]
    while inside:
        one = inside.pop()
        if isinstance(one, list):
            inside += one
        elif isinstance(one, Mapping):
            inside += one.values()
            keys = (one.get(name) for name in _KEYS)
            if any(isinstance(key, str) and is_too_long(key) for key in keys):
                return True
    return False


def read_time(text: str) -> datetime:
    """An ISO 8601 time; one without a zone is UTC, as `timestamp` is defined. Raises CastFault 400."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CastFault(400, "timestamp", "'timestamp' must be an ISO 8601 time in UTC", where="timestamp") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def write_time(moment: datetime) -> str:
    """`timestamp`, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key, "")
    if not isinstance(value, str):
        raise CastFault(400, "type", f"{key!r} must be a string", where=key)
    return value
