"""Notifications of the Subscriptions R5 Backport IG 1.1: a history Bundle whose first entry is the status.

That is a `Parameters` in R4, which has no SubscriptionStatus; one is sent where the subscriber asked for R4B.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from radbridge_adapters.fhir.subscriptions.events import Event
from radbridge_adapters.fhir.subscriptions.plan import BACKPORT, Content, Plan, Status
from radbridge_adapters.resources.json import read_json
from radbridge_adapters.resources.times import write_instant

Document = dict[str, Any]


class Kind(StrEnum):
    """SubscriptionNotificationType (R4B)."""

    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    EVENT = "event-notification"
    STATUS = "query-status"
    QUERY = "query-event"


def results_of(events: Iterable[Event]) -> list[str]:
    """`Observation/12` for every Observation that the events' reports have as a result."""
    reports = (read_json(event.raw) for event in events if event.type == "DiagnosticReport")
    names = (one["reference"] for report in reports for one in report.get("result", ()) if "reference" in one)
    return list(dict.fromkeys(names))


@dataclass(frozen=True, kw_only=True, slots=True)
class Notification:
    """What a subscriber is told at one moment."""

    plan: Plan
    kind: Kind
    total: int
    """Events since the subscription began."""
    events: Sequence[Event] = field(default=(), repr=False)
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """Resources that come along with the events' reports, by `Type/id`."""
    content: Content | None = None
    """Other than the subscription's own."""

    def bundle(self) -> Document:
        """As it is sent."""
        profile = "backport-subscription-notification" + ("" if self.plan.is_r4b else "-r4")
        entries = [self._status_entry()]
        for event in self.events if self._shown is not Content.EMPTY else ():
            entries.append(self._entry(f"{event.type}/{event.id}", event.method, event.version, read_json(event.raw)))
            for name in self._along(event):
                version = int(self.beside[name]["meta"]["versionId"])
                entries.append(self._entry(name, "PUT", version, self.beside[name]))
        told_once = [entry for index, entry in enumerate(entries) if entry not in entries[:index]]
        return {
            "resourceType": "Bundle",
            "meta": {"profile": [f"{BACKPORT}/{profile}"]},
            "type": "history",
            "entry": told_once,
        }

    def searchset(self) -> Document:
        """As the answer of `$status`."""
        entry = {"fullUrl": self._urn, "resource": self._status(), "search": {"mode": "match"}}
        return {"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [entry]}

    @property
    def _shown(self) -> Content:
        return self.content or self.plan.content

    @property
    def _url(self) -> str:
        return f"{self.plan.base}/Subscription/{self.plan.id}"

    @property
    def _urn(self) -> str:
        return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{self._url}/{self.kind}/{self.total}')}"

    def _along(self, event: Event) -> list[str]:
        return [name for name in results_of([event]) if name in self.beside]

    def _status_entry(self) -> Document:
        return {
            "fullUrl": self._urn,
            "resource": self._status(),
            "request": {"method": "GET", "url": f"{self._url}/$status"},
            "response": {"status": "200"},
        }

    def _entry(self, name: str, method: str, version: int, resource: Mapping[str, Any]) -> Document:
        entry: Document = {"fullUrl": f"{self.plan.base}/{name}"}
        if self._shown is Content.FULL:
            entry["resource"] = resource
        entry["request"] = {"method": method, "url": name.partition("/")[0] if method == "POST" else name}
        entry["response"] = {"status": "201" if version == 1 else "200"}
        return entry

    def _status(self) -> Document:
        status = Status.REQUESTED if self.kind is Kind.HANDSHAKE else self.plan.status
        events = [self._tell(event) for event in self.events]
        topic, subscription = self.plan.topic, {"reference": self._url}
        if self.plan.is_r4b:
            return {
                "resourceType": "SubscriptionStatus",
                "status": status.value,
                "type": self.kind.value,
                "eventsSinceSubscriptionStart": str(self.total),
                **({"notificationEvent": events} if events else {}),
                "subscription": subscription,
                **({"topic": topic} if topic else {}),
            }
        return {
            "resourceType": "Parameters",
            "meta": {"profile": [f"{BACKPORT}/backport-subscription-status-r4"]},
            "parameter": [
                {"name": "subscription", "valueReference": subscription},
                *([{"name": "topic", "valueCanonical": topic}] if topic else []),
                {"name": "status", "valueCode": status.value},
                {"name": "type", "valueCode": self.kind.value},
                {"name": "events-since-subscription-start", "valueString": str(self.total)},
                *({"name": "notification-event", "part": _parts(event)} for event in events),
            ],
        }

    def _tell(self, event: Event) -> Document:
        """One event as R4B has it. An empty notification names nothing."""
        told: Document = {"eventNumber": str(event.number), "timestamp": write_instant(event.at)}
        if self._shown is Content.EMPTY:
            return told
        told["focus"] = {"reference": f"{self.plan.base}/{event.type}/{event.id}"}
        along = [{"reference": f"{self.plan.base}/{name}"} for name in self._along(event)]
        return told | ({"additionalContext": along} if along else {})


def _parts(told: Document) -> list[Document]:
    """The same as parts of a Parameters."""
    parts: list[Document] = [
        {"name": "event-number", "valueString": told["eventNumber"]},
        {"name": "timestamp", "valueInstant": told["timestamp"]},
    ]
    if "focus" in told:
        parts.append({"name": "focus", "valueReference": told["focus"]})
    return parts + [{"name": "additional-context", "valueReference": one} for one in told.get("additionalContext", ())]
