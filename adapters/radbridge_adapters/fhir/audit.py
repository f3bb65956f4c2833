"""Who did what with which resource, as AuditEvents (R4 auditevent.html), and with whose case for the audit trail.

What clients read holds ids only: no query, no content, no name, no patient's number. A write is on record with the
version that it made: time, method and client are its columns. Whoever is shown something waits until that is in the
trail, by a commit that they share with others. The AuditEvents, and the notes of writes and refusals, are stored behind
the answers, many in one commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from radbridge.audit import Note, Outcome, Subject, What, each, to_fhir
from radbridge.errors import JournalError, SealBroken
from radbridge.flow.wake import Alarm
from radbridge.journal import audit
from radbridge.wire import Store
from radbridge_adapters.fhir.request import Answer, Views
from radbridge_adapters.fhir.route import Found
from radbridge_adapters.fhir.store.record import Change, Version, make_version, new_id
from radbridge_adapters.fhir.store.subjects import PAST, find_subjects
from radbridge_adapters.fhir.store.write import Vault
from radbridge_adapters.resources.accession import Accessions

log = structlog.get_logger(__name__)

WAITING = 20_000
"""Events that wait for the disk at most; the oldest go first, and the log says so."""
AT_ONCE = 64
REST_S = 0.5
"""Between two commits: a burst of requests is recorded behind it, not beside it."""
HURRY = 5_000
"""Events from which on there is no rest."""
RETRY_S = 1.0
NOTES_AT_ONCE = 100
"""Of one answer in one commit: between them the lane serves whoever else waits."""

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
WRITES = frozenset({"create", "update", "bundle"})


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
    views: Views
    is_noted: bool = False
    """Whether it is in the trail already, and only its AuditEvent is to be stored."""

    @property
    def names(self) -> list[str]:
        """Every resource that it is about; of one that was shown or stored, the versions that were."""
        shown = {name.partition(PAST)[0] for name in self.views.all}
        return [*(target for target in self.targets if "/" in target and target not in shown), *self.views.all]

    @property
    def shows(self) -> bool:
        """Whether it gave somebody more than what they had sent."""
        if self.status >= 400:
            return False
        return self.interaction not in WRITES or bool(self.views.names or self.views.subjects)


class Audit:
    """Stores AuditEvents; a `radbridge.wire.Worker`."""

    name = "audit"

    def __init__(self, store: Store, vault: Vault, accessions: Accessions) -> None:
        self._store = store
        self._vault = vault
        self._accessions = accessions
        self._waiting = deque[Event]()
        self._lost = 0
        self._alarm = Alarm()

    async def note(self, found: Found, answer: Answer, views: Views, *, client: str, peer: str) -> None:
        """Something is about to be answered. What that shows is in the trail when this is over.

        Raises JournalError where it can't be: then it must not be shown.
        """
        event = Event(
            at=datetime.now(UTC),
            interaction=found.route.interaction,
            status=answer.status,
            client=client,
            peer=peer,
            targets=_targets_of(found, answer),
            views=views,
        )
        if event.shows:
            notes = await self._notes([event])
            for start in range(0, len(notes), NOTES_AT_ONCE):
                await self._store.write_first(audit.record_all, notes[start : start + NOTES_AT_ONCE])
            event = replace(event, is_noted=True)
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(event)
        self._alarm.ring()

    async def run(self) -> None:
        """Store what was noted, until cancelled; then what is left."""
        try:
            while True:
                if not self._waiting:
                    await self._alarm.wait()
                await asyncio.sleep(REST_S if await self._keep(AT_ONCE) else RETRY_S)
                while len(self._waiting) > HURRY and await self._keep(AT_ONCE):
                    pass
        finally:
            await self._keep(WAITING)

    async def _keep(self, at_most: int) -> bool:
        """Store the oldest events in one commit; False when the journal can't."""
        if self._lost:
            log.error("audit events were lost: the journal is too slow for them", count=self._lost)
            self._lost = 0
        chunk = [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]
        try:
            if chunk:
                notes = await self._notes([event for event in chunk if not event.is_noted])
                await self._vault.commit(Change(versions=tuple(map(_version, chunk)), notes=tuple(notes)))
        except Exception as error:  # one bad event must not end the worker, nor hold up all others
            if isinstance(error, JournalError) and not isinstance(error, SealBroken):
                log.exception("journal unavailable", retry_in_s=RETRY_S)
                self._waiting.extendleft(reversed(chunk))
                return False
            if len(chunk) > 1:
                self._waiting.extendleft(reversed(chunk))
                for _ in chunk:
                    if not await self._keep(1):
                        return False
                return True
            log.exception("whose data an event is about can't be told: it is noted without")
            return await self._keep_bare(chunk[0])
        return True

    async def _keep_bare(self, event: Event) -> bool:
        """Note an event that something is wrong with by what was asked alone; False when the journal can't."""
        try:
            await self._store.write_first(audit.record_all, [] if event.is_noted else [_note(event)])
        except JournalError:
            log.exception("journal unavailable", retry_in_s=RETRY_S)
            self._waiting.appendleft(event)
            return False
        except Exception:  # not even that much of it can be written: all others still can
            log.exception("audit events were lost: one can't be written", count=1)
        return True

    async def _notes(self, events: Sequence[Event]) -> list[Note]:
        """For the trail, whose chain covers what the stored resources can't."""
        names = [name for event in events for name in event.names]
        found: Mapping[str, Subject] = {}
        if names:
            found = await self._store.read(partial(_find_readable, self._accessions, names))
        return [note for event in events for note in _notes(event, found)]


def _find_readable(accessions: Accessions, names: Sequence[str], conn: Connection) -> Mapping[str, Subject]:
    """Whose they are. One beside which something can't be opened, for good, is left out."""
    try:
        return find_subjects(conn, accessions, names)
    except SealBroken:
        if len(names) == 1:
            log.warning("whose data was shown can't be told: what it refers to can't be opened")
            return {}
    return {name: subject for one in names for name, subject in _find_readable(accessions, [one], conn).items()}


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


def _notes(event: Event, found: Mapping[str, Subject]) -> list[Note]:
    """A note for each case that it is about."""
    note = _note(event)
    subjects = [*event.views.subjects, *(found[name] for name in event.names if name in found)]
    if note.what is not What.SEARCHED:
        return each(note, subjects)
    return [note, *(each(replace(note, what=What.VIEWED), subjects) if subjects else ())]


def _note(event: Event) -> Note:
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
    """The event as clients read it: by ids alone, with FHIR's own codes for what was asked."""
    code, action = _CODES.get(event.interaction, ("operation", "E"))
    entities = [
        {"what": {"reference": target}} if "/" in target else {"what": {"type": target}} for target in event.targets
    ]
    asked = {"type": _REST, "subtype": [{"system": _INTERACTION, "code": code}], "action": action}
    told = to_fhir(replace(_note(event), detail={}), id="")
    return told | asked | ({"entity": entities} if entities else {})
