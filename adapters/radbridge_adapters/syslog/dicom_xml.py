"""An event as DICOM PS3.15 A.5.1 writes it: one line of XML, attributes only."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC
from html import escape
from typing import Final

from radbridge.audit import KINDS, OURSELVES, Code, Note
from radbridge.journal.audit import Chained

_ILLEGAL: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (2.2, Char) can't hold."""
_APPLICATION: Final = Code(value="110150", display="Application")
_DESTINATION: Final = Code(value="110152", display="Destination Role ID")
_ENTRY: Final = "4"
"""AuditSourceTypeCode: an application server."""


def to_xml(event: Chained) -> str:
    """The whole AuditMessage."""
    note = event.note
    parts = [_identification(note), *_participants(note), _source(), *_objects(note), _event(event)]
    return f'<?xml version="1.0" encoding="UTF-8"?><AuditMessage>{"".join(parts)}</AuditMessage>'


def _identification(note: Note) -> str:
    kind = KINDS[note.what]
    subtype = _code("EventTypeCode", kind.subtype) if kind.subtype else ""
    what = _tag("EventTypeCode", {"csd-code": note.what, "codeSystemName": "RadBridge", "originalText": note.what})
    return _tag(
        "EventIdentification",
        {
            "EventActionCode": kind.action,
            "EventDateTime": note.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "EventOutcomeIndicator": note.outcome,
        },
        _code("EventID", kind.event) + subtype + what,
    )


def _participants(note: Note) -> Iterator[str]:
    """Who asked, with their address, and RadBridge where that is somebody else."""
    is_own = note.actor == OURSELVES
    where = {"NetworkAccessPointID": note.peer, "NetworkAccessPointTypeCode": "2"} if note.peer else {}
    who = {"UserID": note.actor or "unknown", "UserIsRequestor": "true"}
    inside = _code("RoleIDCode", _APPLICATION) if is_own else ""
    if note.role:
        role = {"csd-code": note.role, "codeSystemName": "RadBridge", "originalText": note.role}
        inside += _tag("RoleIDCode", role)
    yield _tag("ActiveParticipant", who | where, inside)
    if not is_own:
        yield _tag(
            "ActiveParticipant", {"UserID": OURSELVES, "UserIsRequestor": "false"}, _code("RoleIDCode", _DESTINATION)
        )


def _source() -> str:
    inside = _tag("AuditSourceTypeCode", {"csd-code": _ENTRY})
    return _tag("AuditSourceIdentification", {"AuditSourceID": OURSELVES}, inside)


def _objects(note: Note) -> Iterator[str]:
    if note.patient:
        yield _object(note.patient, ("1", "1"), ("2", "RFC-3881", "Patient Number"))
    for case in (note.entity, *note.cases):
        if case is not None:
            yield _object(case.accession, ("2", "3"), ("121022", "DCM", "Accession Number"))


def _event(event: Chained) -> str:
    """The event itself, as the trail has it: its number, its hash, and the words that say more."""
    told = {"hash": event.hash.hex(), **event.note.detail}
    detail = "".join(
        _tag("ParticipantObjectDetail", {"type": word, "value": base64.b64encode(_legal(value).encode()).decode()})
        for word, value in told.items()
        if value
    )
    return _object(f"{OURSELVES}:audit:{event.seq}", ("2", "13"), ("12", "RFC-3881", "URI"), detail)


def _object(id: str, kind: tuple[str, str], id_type: tuple[str, str, str], inside: str = "") -> str:
    """`kind` is ParticipantObjectTypeCode and its role, `id_type` a code, its system and its words."""
    told = {
        "ParticipantObjectID": id,
        "ParticipantObjectTypeCode": kind[0],
        "ParticipantObjectTypeCodeRole": kind[1],
    }
    code, system, words = id_type
    type_code = {"csd-code": code, "codeSystemName": system, "originalText": words}
    return _tag("ParticipantObjectIdentification", told, _tag("ParticipantObjectIDTypeCode", type_code) + inside)


def _code(name: str, code: Code) -> str:
    return _tag(name, {"csd-code": code.value, "codeSystemName": "DCM", "originalText": code.display})


def _tag(name: str, attributes: dict[str, str], inside: str = "") -> str:
    told = "".join(f' {key}="{_attribute(value)}"' for key, value in attributes.items())
    return f"<{name}{told}>{inside}</{name}>" if inside else f"<{name}{told}/>"


def _attribute(value: str) -> str:
    """A line's end in it would end the syslog line at many a repository."""
    return escape(" ".join(_legal(value).split()), quote=True)


def _legal(text: str) -> str:
    return _ILLEGAL.sub("?", text)
