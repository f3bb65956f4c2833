"""Who did what with which case: the notes that the journal chains, and their FHIR and DICOM codes.

A note names a case by its accession and a patient by their number, because that is what an inquiry asks by. It never
holds a name, a text of a report, a payload or a secret. Notes stay in the journal, in what an auditor exports from
it, and in the audit repository that a site names; logs, metrics and traces get none of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from radbridge.case import CaseKey

OURSELVES: Final = "radbridge"
"""The actor where nobody asked: the gateway does it by itself."""
DETAIL_CHARS = 500
"""Of one value of a note's detail; what is longer is cut."""
MOST_CASES: Final = 100
"""Of one note: an event that names so many is a syslog message of some 27 KB."""


class What(StrEnum):
    """What was done."""

    MESSAGE_TAKEN = "message_taken"
    MESSAGE_FAILED = "message_failed"
    CASE_CHANGED = "case_changed"
    DRAFT_MADE = "draft_made"
    DRAFT_BLOCKED = "draft_blocked"
    DRAFT_DELIVERED = "draft_delivered"
    DRAFT_WITHDRAWN = "draft_withdrawn"
    REPORT_SIGNED = "report_signed"
    VIEWED = "viewed"
    EXPORTED = "exported"
    SEARCHED = "searched"
    LOGIN = "login"
    LOGIN_FAILED = "login_failed"
    ACCOUNT_CHANGED = "account_changed"
    CONFIGURATION = "configuration"
    """What drafts are made by was changed: a LoRA was published, promoted, rolled back."""
    PAUSED = "paused"
    RETRIED = "retried"
    DROPPED = "dropped"
    PURGED = "purged"
    KEY_ROTATED = "key_rotated"
    BACKUP = "backup"
    RESTORED = "restored"
    CHAIN_ANCHORED = "chain_anchored"
    STARTED = "started"
    STOPPED = "stopped"


class Action(StrEnum):
    """AuditEvent.action, EventActionCode in DICOM PS3.15 A.5.1."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Outcome(StrEnum):
    """AuditEvent.outcome, EventOutcomeIndicator in DICOM PS3.15 A.5.1."""

    SUCCESS = "0"
    MINOR = "4"
    """It was refused, or can be tried again."""
    SERIOUS = "8"
    MAJOR = "12"


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """A code of DICOM (DCM), as both forms of an event want it."""

    value: str
    display: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """How DICOM and FHIR call one `What`."""

    event: Code
    """Of CID 400."""
    action: Action
    subtype: Code | None = None
    """Of CID 401."""


_IMPORT = Code(value="110107", display="Import")
_EXPORT = Code(value="110106", display="Export")
_RECORD = Code(value="110110", display="Patient Record")
_QUERY = Code(value="110112", display="Query")
_ALERT = Code(value="110113", display="Security Alert")
_USER = Code(value="110114", display="User Authentication")
_ACTIVITY = Code(value="110100", display="Application Activity")
_LOG_USED = Code(value="110101", display="Audit Log Used")
_LOGIN = Code(value="110122", display="Login")
_ATTRIBUTES = Code(value="110137", display="User security Attributes Changed")
_SECURITY = Code(value="110129", display="Security Configuration")
_SOFTWARE = Code(value="110131", display="Software Configuration")

KINDS: Final[Mapping[What, Kind]] = {
    What.MESSAGE_TAKEN: Kind(event=_IMPORT, action=Action.CREATE),
    What.MESSAGE_FAILED: Kind(event=_IMPORT, action=Action.CREATE),
    What.CASE_CHANGED: Kind(event=_RECORD, action=Action.UPDATE),
    What.DRAFT_MADE: Kind(event=_RECORD, action=Action.CREATE),
    What.DRAFT_BLOCKED: Kind(event=_RECORD, action=Action.CREATE),
    What.DRAFT_DELIVERED: Kind(event=_EXPORT, action=Action.READ),
    What.DRAFT_WITHDRAWN: Kind(event=_RECORD, action=Action.UPDATE),
    What.REPORT_SIGNED: Kind(event=_RECORD, action=Action.UPDATE),
    What.VIEWED: Kind(event=_RECORD, action=Action.READ),
    What.EXPORTED: Kind(event=_EXPORT, action=Action.READ),
    What.SEARCHED: Kind(event=_QUERY, action=Action.EXECUTE),
    What.LOGIN: Kind(event=_USER, action=Action.EXECUTE, subtype=_LOGIN),
    What.LOGIN_FAILED: Kind(event=_USER, action=Action.EXECUTE, subtype=_LOGIN),
    What.ACCOUNT_CHANGED: Kind(event=_ALERT, action=Action.EXECUTE, subtype=_ATTRIBUTES),
    What.CONFIGURATION: Kind(event=_ALERT, action=Action.EXECUTE, subtype=_SOFTWARE),
    What.PAUSED: Kind(event=_ALERT, action=Action.EXECUTE, subtype=_SOFTWARE),
    What.RETRIED: Kind(event=_RECORD, action=Action.UPDATE),
    What.DROPPED: Kind(event=_RECORD, action=Action.UPDATE),
    What.PURGED: Kind(event=_RECORD, action=Action.DELETE),
    What.KEY_ROTATED: Kind(event=_ALERT, action=Action.EXECUTE, subtype=_SECURITY),
    What.BACKUP: Kind(event=_EXPORT, action=Action.READ),
    What.RESTORED: Kind(event=_IMPORT, action=Action.CREATE),
    What.CHAIN_ANCHORED: Kind(event=_LOG_USED, action=Action.READ),
    What.STARTED: Kind(
        event=_ACTIVITY, action=Action.EXECUTE, subtype=Code(value="110120", display="Application Start")
    ),
    What.STOPPED: Kind(
        event=_ACTIVITY, action=Action.EXECUTE, subtype=Code(value="110121", display="Application Stop")
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Something that was done, or refused."""

    at: datetime
    what: What
    outcome: Outcome = Outcome.SUCCESS
    actor: str = OURSELVES
    """The account, the client, or the sending application; never a patient."""
    role: str = ""
    via: str = ""
    """The way it came: a wire's name, `cli`, `api`."""
    peer: str = ""
    """Network address."""
    entity: CaseKey | None = field(default=None, repr=False)
    patient: str = field(default="", repr=False)
    """The patient's number."""
    cases: tuple[CaseKey, ...] = field(default=(), repr=False)
    """Of what is done to many cases at once, instead of `entity`: at most MOST_CASES."""
    detail: Mapping[str, str] = field(default_factory=dict)
    """Fixed words, counts, digests, versions: what a log may hold too."""

    @property
    def action(self) -> Action:
        """What kind of act it was."""
        return KINDS[self.what].action


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A case, with its patient where they are known; or a patient of whom no case is known."""

    entity: CaseKey | None = field(default=None, repr=False)
    patient: str = field(default="", repr=False)
    """The patient's number."""


def each(note: Note, subjects: Iterable[Subject]) -> list[Note]:
    """The note for each case, and for each patient of whom no case is among them; once where nobody is known."""
    told = dict.fromkeys(subjects)
    with_case = {one.patient for one in told if one.entity is not None}
    found = [one for one in told if one.entity is not None or one.patient not in with_case]
    return [replace(note, entity=one.entity, patient=one.patient) for one in found] or [note]


def in_parts(note: Note, cases: Iterable[CaseKey]) -> Iterator[Note]:
    """The note with all these cases, MOST_CASES of them at a time; once where there is none."""
    named = tuple(dict.fromkeys(cases))
    for start in range(0, max(len(named), 1), MOST_CASES):
        yield replace(note, cases=named[start : start + MOST_CASES])


def write(note: Note) -> bytes:
    """The note in its one canonical form, which is what the chain is made over; `at` stands beside it."""
    key = note.entity
    told = {
        "what": note.what,
        "outcome": note.outcome,
        "actor": note.actor,
        "role": note.role,
        "via": note.via,
        "peer": note.peer,
        "accession": key.accession if key else "",
        "issuer": key.issuer if key else "",
        "patient": note.patient,
        "cases": [[one.accession, one.issuer] for one in note.cases],
        "detail": {word: value[:DETAIL_CHARS] for word, value in note.detail.items()},
    }
    return json.dumps({k: v for k, v in told.items() if v}, sort_keys=True, separators=(",", ":")).encode()


def read(document: bytes, at: datetime) -> Note:
    """The note that `write` wrote. Raises ValueError for anything else."""
    told = json.loads(document)
    try:
        key = CaseKey(accession=told["accession"], issuer=told.get("issuer", "")) if told.get("accession") else None
        return Note(
            at=at,
            what=What(told["what"]),
            outcome=Outcome(told["outcome"]),
            entity=key,
            cases=tuple(CaseKey(accession=accession, issuer=issuer) for accession, issuer in told.get("cases", ())),
            detail=told.get("detail", {}),
            **{name: told.get(name, "") for name in ("actor", "role", "via", "peer", "patient")},
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("no note") from error


_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"


def to_fhir(note: Note, *, id: str) -> dict[str, Any]:
    """The note as an R4 AuditEvent, with agents and entities as IHE Basic Audit Log Patterns (BALP) shape them."""
    kind = KINDS[note.what]
    subtype = [_coding(kind.subtype)] if kind.subtype else []
    document: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": id,
        "type": _coding(kind.event),
        "subtype": [*subtype, {"system": "urn:radbridge:audit", "code": note.what}],
        "action": kind.action,
        "recorded": note.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": note.outcome,
        "agent": _agents(note),
        "source": {"observer": {"display": "RadBridge"}},
    }
    entities = _entities(note)
    return document | ({"entity": entities} if entities else {})


def _coding(code: Code) -> dict[str, str]:
    return {"system": _DCM, "code": code.value, "display": code.display}


def _agents(note: Note) -> list[dict[str, Any]]:
    """Who asked, with their address, and RadBridge where that is somebody else."""
    is_own = note.actor == OURSELVES
    type_ = (
        {"coding": [{"system": _DCM, "code": "110150", "display": "Application"}]}
        if is_own
        else {"coding": [{"system": _PARTICIPATION, "code": "IRCP", "display": "information recipient"}]}
    )
    agent: dict[str, Any] = {
        "type": type_,
        "who": {"identifier": {"value": note.actor or "unknown"}},
        "requestor": True,
    }
    if note.role:
        agent["role"] = [{"text": note.role}]
    if note.peer:
        agent["network"] = {"address": note.peer, "type": "2"}
    if is_own:
        return [agent]
    own = {
        "type": {"coding": [{"system": _DCM, "code": "110152", "display": "Destination Role ID"}]},
        "who": {"identifier": {"value": OURSELVES}},
        "requestor": False,
    }
    return [agent, own]


def _entities(note: Note) -> list[dict[str, Any]]:
    found = []
    if note.patient:
        found.append(_entity("1", "Person", "1", "Patient", note.patient))
    if note.entity is not None:
        found.append(_entity("2", "System Object", "3", "Report", note.entity.accession))
    found += [_entity("2", "System Object", "3", "Report", case.accession) for case in note.cases]
    if note.detail:
        told = [{"type": word, "valueString": value} for word, value in sorted(note.detail.items()) if value]
        if not found or note.cases:
            found.append(_entity("2", "System Object", "4", "Domain Resource", note.what))
        found[-1]["detail"] = told
    return found


def _entity(type: str, type_name: str, role: str, role_name: str, value: str) -> dict[str, Any]:
    return {
        "what": {"identifier": {"value": value}},
        "type": {"system": _ENTITY_TYPE, "code": type, "display": type_name},
        "role": {"system": _OBJECT_ROLE, "code": role, "display": role_name},
    }
