"""What the hot path needs of a message before it is committed: the header, and the accession to find it by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from radbridge.journal.types import is_too_long
from radbridge_adapters.hl7v2.accession import AccessionPlaces
from radbridge_adapters.hl7v2.charset import decode
from radbridge_adapters.hl7v2.er7 import Message, Segment
from radbridge_adapters.hl7v2.faults import fault
from radbridge_adapters.hl7v2.patient import choose_id

EVENTS = {
    "ORM": ("O01",),
    "OMI": ("O23",),
    "ORU": ("R01",),
    "MDM": ("T02",),
    "ADT": ("A01", "A04", "A08", "A40"),
}
"""What is taken in: MSH-9.1 -> MSH-9.2."""

_SHORT = 60
"""Characters as sent that stay below the limit of a key, whatever is escaped in them: not looked at on the hot path."""
_PATIENTS = {"PID": 3, "MRG": 1}
_WITHOUT_ACCESSION = ("ADT",)
_VERSION = re.compile(r"2\.[1-8](\.\d)?")
_MSH = re.compile(rb"MSH[^\r\n]*")
_MSH_WITHIN = 64
"""Bytes before the MSH that are looked over: a byte order mark, blank lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The MSH fields that decide what happens to a message. Fields are as sent; empty where unknown."""

    application: str = field(default="", repr=False)
    facility: str = field(default="", repr=False)
    kind: str = ""
    """`ORU^R01`; only of what is taken in, else empty."""
    event: str = ""
    control_id: str = field(default="", repr=False)
    processing: str = ""
    version: str = ""
    accept_ack: str = ""
    application_ack: str = ""
    sequence: str = ""
    """MSH-13."""
    standard_delimiters: bool = True

    @property
    def sender(self) -> str:
        """MSH-3 and MSH-4 in one."""
        return f"{self.application}|{self.facility}"


def read_charset(raw: bytes) -> str:
    """MSH-18 as sent, found before anything is decoded: the fields before it are ASCII or take no harm."""
    match = _MSH.search(raw[: _MSH_WITHIN + 4096])
    if match is None or len(match[0]) < 4:
        return ""
    fields = match[0].split(match[0][3:4])
    return fields[17].decode("latin-1") if len(fields) > 17 else ""


def read_message(raw: bytes, default_charset: str) -> Message:
    """`raw` as a message. Raises MessageFault `no_msh`."""
    return Message(decode(raw, read_charset(raw), default_charset).text)


def read_header(message: Message) -> Header:
    """The header of a message; nothing is checked but the type, which is set only when it is taken in."""
    msh = message.msh
    kind, event = _kind(msh)
    return Header(
        application=msh.raw(3),
        facility=msh.raw(4),
        kind=kind,
        event=event,
        control_id=msh.raw(10).strip(),
        processing=msh.text(11),
        version=msh.text(12),
        accept_ack=msh.raw(15),
        application_ack=msh.raw(16),
        sequence=msh.raw(13).strip(),
        standard_delimiters=msh.raw(2)[:4] == "^~\\&" and msh.raw(1) == "|",
    )


def check_header(header: Header, message: Message) -> None:
    """Raises MessageFault when the type, the version or the control id is such that the message can't be taken in."""
    if not header.kind:
        raise fault("unknown_event" if message.msh.text(9) in EVENTS else "unknown_type")
    if header.version and not _VERSION.fullmatch(header.version):
        raise fault("unknown_version")
    if not header.control_id:
        raise fault("no_control_id")


def find_accession(header: Header, message: Message, places: AccessionPlaces) -> str:
    """The accession to file a message under; empty for an ADT. Raises MessageFault `no_accession`."""
    if header.kind[:3] in _WITHOUT_ACCESSION:
        return ""
    accession = places.find_number(message.segments)
    if not accession:
        raise fault("no_accession")
    return accession


def check_patients(header: Header, message: Message) -> None:
    """Raises MessageFault `no_patient` or `no_prior_patient` when an ADT doesn't say whom it is about."""
    if header.kind[:3] == "ADT":
        pid, mrg = message.first("PID"), message.first("MRG")
        if pid is None or choose_id(pid, 3) is None:
            raise fault("no_patient")
        if header.event == "A40" and (mrg is None or choose_id(mrg, 1) is None):
            raise fault("no_prior_patient")


def check_keys(message: Message, keys: Iterable[str]) -> None:
    """Raises MessageFault `key_too_long` when a message, its case or its patient could not be found by such a value."""
    places = ((segment, _PATIENTS[segment.name]) for segment in message.segments if segment.name in _PATIENTS)
    patients = [choose_id(segment, place) for segment, place in places if len(segment.raw(place)) > _SHORT]
    for key in (*keys, *(value.text() for value in patients if value)):
        if is_too_long(key):
            raise fault("key_too_long")


def _kind(msh: Segment) -> tuple[str, str]:
    """MSH-9, where a type that has one event here may leave the event out, as version 2.1 did."""
    code, event = msh.text(9), msh.text(9, 2)
    events = EVENTS.get(code, ())
    if not event and len(events) == 1:
        event = events[0]
    return (f"{code}^{event}" if event in events else ""), event
