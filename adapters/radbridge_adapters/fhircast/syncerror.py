"""`SyncError`: somebody doesn't follow (FHIRcast 3.0, 3.2.1)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from radbridge_adapters.fhircast.message import EventMessage, write_time
from radbridge_adapters.fhircast.names import SYNC_ERROR, EventName

_SYSTEM = "https://fhircast.hl7.org/events/syncerror/"


def make_sync_error(about_id: str, about_name: str, subscriber: str, diagnostics: str) -> EventMessage:
    """The event that tells others that `subscriber` didn't follow the event `about_id`."""
    named = (("eventid", about_id), ("eventname", about_name), ("subscriber", subscriber or "a subscriber"))
    issue = {
        "severity": "warning",
        "code": "processing",
        "diagnostics": diagnostics,
        "details": {"coding": [{"system": _SYSTEM + system, "code": code} for system, code in named if code]},
    }
    now = datetime.now(UTC)
    return EventMessage(
        id=str(uuid.uuid4()),
        timestamp=write_time(now),
        at=now,
        topic="",
        name=EventName(resource=SYNC_ERROR),
        context=[{"key": "operationoutcome", "resource": {"resourceType": "OperationOutcome", "issue": [issue]}}],
    )


def read_refused(event: EventMessage) -> Iterator[str]:
    """The ids of the events that a SyncError is about; none when it doesn't say."""
    item = event.item("operationoutcome") or {}
    resource = item.get("resource")
    issues = resource.get("issue") if isinstance(resource, Mapping) else None
    for issue in issues if isinstance(issues, list) else ():
        details = issue.get("details") if isinstance(issue, Mapping) else None
        codings = details.get("coding") if isinstance(details, Mapping) else None
        for coding in codings if isinstance(codings, list) else ():
            if isinstance(coding, Mapping) and coding.get("system") == f"{_SYSTEM}eventid":
                yield str(coding.get("code"))
