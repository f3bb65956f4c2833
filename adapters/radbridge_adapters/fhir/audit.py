"""Who did what with which resource, as AuditEvents (R4 auditevent.html). Ids only: no query, no content, no name.

A write is on record with the version that it made: time, method and client are its columns. The AuditEvents of writes,
reads and refusals are stored behind the answers, many in one commit, so that a reader waits for no disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from radbridge.audit import Note, Outcome, What
from radbridge.errors import JournalError
from radbridge.flow.wake import Alarm
from radbridge_adapters.fhir.request import Answer
from radbridge_adapters.fhir.route import Found
from radbridge_adapters.fhir.store.record import Change, Version, format_instant, make_version, new_id
from radbridge_adapters.fhir.store.write import Vault

log = structlog.get_logger(__name__)

WAITING = 20_000
"""Events that wait for the disk at most; the oldest go first, and the log says so."""
AT_ONCE = 64
REST_S = 0.5
"""Between two commits: a burst of requests is recorded behind it, not beside it."""
HURRY = 5_000
"""Events from which on there is no rest."""
RETRY_S = 1.0

_REST = {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"}
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_CODES: Mapping[str, tuple[str, str]] = {
    "create": ("create", "C"),
    "update": ("update", "U"),
    "read": ("read", "R"),
    "vread": ("vread", "R"),
    "history": ("history-instance", "R"),
    "search": ("search-type", "E"),
    "bundle": ("transaction", "E"),
}
"""An interaction -> its code and AuditEvent.action; any other one is an operation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that was done, or refused."""

    at: datetime
    interaction: str
    status: int
    client: str
    peer: str
    targets: tuple[str, ...] = field(repr=False)
    """`Patient/12`, or the type alone for a search."""


class Audit:
    """Stores AuditEvents; a `radbridge.wire.Worker`."""

    name = "audit"

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._waiting = deque[Event]()
        self._lost = 0
        self._alarm = Alarm()

    def note(self, found: Found, answer: Answer, *, client: str, peer: str) -> None:
        """Something was answered. Never waits and never raises."""
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self._lost += 1
        event = Event(
            at=datetime.now(UTC),
            interaction=found.route.interaction,
            status=answer.status,
            client=client,
            peer=peer,
            targets=_targets_of(found, answer),
        )
        self._waiting.append(event)
        self._alarm.ring()

    async def run(self) -> None:
        """Store what was noted, until cancelled; then what is left."""
        try:
            while True:
                if not self._waiting:
                    await self._alarm.wait()
                await asyncio.sleep(REST_S if await self._store(AT_ONCE) else RETRY_S)
                while len(self._waiting) > HURRY and await self._store(AT_ONCE):
                    pass
        finally:
            await self._store(WAITING)

    async def _store(self, at_most: int) -> bool:
        """Store the oldest events in one commit; False when the journal can't."""
        if self._lost:
            log.error("audit events were lost: the journal is too slow for them", count=self._lost)
            self._lost = 0
        chunk = [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]
        try:
            if chunk:
                versions = tuple(_version(event) for event in chunk)
                await self._vault.commit(Change(versions=versions, notes=tuple(_note(event) for event in chunk)))
        except JournalError:
            log.exception("journal unavailable", retry_in_s=RETRY_S)
            self._waiting.extendleft(reversed(chunk))
            return False
        return True


def _targets_of(found: Found, answer: Answer) -> tuple[str, ...]:
    if found.id:
        return (f"{found.type}/{found.id}",)
    places: Sequence[str] = [answer.headers.get("location", "")]
    if found.route.interaction == "bundle" and isinstance(answer.document, dict):
        places = [entry["response"].get("location", "") for entry in answer.document.get("entry", ())]
    stored = (place.rpartition("/_history/")[0].rsplit("/", 2)[-2:] for place in places if place)
    return tuple("/".join(parts) for parts in stored) or ((found.type,) if found.type else ())


_WHAT: Mapping[str, What] = {
    "create": What.MESSAGE_TAKEN,
    "update": What.MESSAGE_TAKEN,
    "bundle": What.MESSAGE_TAKEN,
    "search": What.SEARCHED,
}
"""An interaction -> what the audit trail calls it; any other one shows something."""


def _note(event: Event) -> Note:
    """The same for the trail, whose chain covers what the stored resources can't: that none was taken out."""
    refused = Outcome.MINOR if event.status < 500 else Outcome.SERIOUS
    return Note(
        at=event.at,
        what=_WHAT.get(event.interaction, What.VIEWED),
        outcome=Outcome.SUCCESS if event.status < 400 else refused,
        actor=event.client or "unknown",
        via="fhir",
        peer=event.peer,
        detail={
            "interaction": event.interaction,
            "status": str(event.status),
            "targets": " ".join(event.targets),
        },
    )


def _version(event: Event) -> Version:
    return make_version(
        _document(event),
        id=new_id(),
        version=1,
        method="POST",
        client="radbridge",
        base="",
        is_new_name=True,
    )


def _document(event: Event) -> dict[str, Any]:
    code, action = _CODES.get(event.interaction, ("operation", "E"))
    entities = [
        {"what": {"reference": target}} if "/" in target else {"what": {"type": target}} for target in event.targets
    ]
    network = {"network": {"address": event.peer, "type": "2"}} if event.peer else {}
    document: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "type": _REST,
        "subtype": [{"system": _INTERACTION, "code": code}],
        "action": action,
        "recorded": format_instant(event.at),
        "outcome": "0" if event.status < 400 else "4" if event.status < 500 else "8",
        "agent": [{"who": {"identifier": {"value": event.client or "unknown"}}, "requestor": True, **network}],
        "source": {"observer": {"display": "RadBridge"}},
    }
    return document | ({"entity": entities} if entities else {})
