"""Event names and what a subscriber asked for (FHIRcast 3.0, 2.3): compared without regard to case, wildcards too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from radbridge_adapters.fhircast.faults import CastFault

SYNC_ERROR = "SyncError"
HEARTBEAT = "heartbeat"
"""In lower case: Medplum's client skips the event of exactly this name."""
REPORT = "DiagnosticReport"

_RESOURCES = """DiagnosticReport Patient ImagingStudy Encounter Practitioner Observation ServiceRequest Composition
    Home""".split()
_INFRASTRUCTURE = (SYNC_ERROR, HEARTBEAT, "UserLogout", "UserHibernate", "SyncComplete")
_SPELLING = {name.lower(): name for name in (*_RESOURCES, *_INFRASTRUCTURE)}
_VERBS = frozenset("open update select close".split())
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,99}(?:-[A-Za-z]{1,20})?")
_PATTERN = re.compile(r"[A-Za-z*][A-Za-z0-9.*]{0,99}(?:-[A-Za-z*]{1,20})?")
_MOST_PATTERNS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class EventName:
    """`DiagnosticReport-open`: the anchor's type and what happens to it; an infrastructure event has no verb."""

    resource: str
    verb: str = ""

    def __str__(self) -> str:
        return f"{self.resource}-{self.verb}" if self.verb else self.resource


def parse_name(text: str) -> EventName:
    """The name in its canonical spelling. Raises CastFault for what can be none."""
    if not _NAME.fullmatch(text):
        raise CastFault(400, "event_name", "event.hub.event is no event name", where="hub.event")
    resource, _, verb = text.partition("-")
    known = verb.lower()
    return EventName(resource=_SPELLING.get(resource.lower(), resource), verb=known if known in _VERBS else verb)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The events of one subscription, as asked for."""

    patterns: tuple[str, ...]

    def __contains__(self, name: object) -> bool:
        folded = str(name).lower()
        return any(fnmatchcase(folded, pattern.lower()) for pattern in self.patterns)

    def __str__(self) -> str:
        return ",".join(self.patterns)


def parse_wanted(text: str) -> Wanted:
    """`hub.events`: comma-separated names, with `*` for any part. Raises CastFault for what can't be asked for."""
    patterns: Sequence[str] = [part.strip() for part in text.split(",") if part.strip()]
    if not patterns or len(patterns) > _MOST_PATTERNS or not all(map(_PATTERN.fullmatch, patterns)):
        raise CastFault(400, "events", f"hub.events must list one to {_MOST_PATTERNS} event names, separated by commas")
    return Wanted(patterns=tuple(dict.fromkeys(patterns)))
