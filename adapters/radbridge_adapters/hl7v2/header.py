"""What the hot path needs of a message before it is committed: the header, and the accession to find it by."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from radbridge_adapters.hl7v2.accession import AccessionPlaces
from radbridge_adapters.hl7v2.charset import decode
from radbridge_adapters.hl7v2.er7 import Delimiters, Message, read_text
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

_WITHOUT_ACCESSION = ("ADT",)
_VERSION = re.compile(r"2\.[1-8](\.\d)?")
_MSH = re.compile(rb"MSH[^\r\n]*")
_REMEMBERED = 64
"""Characters of coded fields together: what is longer is read anew each time, so that it fills no memory."""
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
    coded = (msh.raw(9), msh.raw(11), msh.raw(12))
    read = _read_coded if sum(map(len, coded)) > _REMEMBERED else _remember_coded
    kind, event, processing, version = read(*coded, message.delimiters)
    return Header(
        application=msh.raw(3),
        facility=msh.raw(4),
        kind=kind,
        event=event,
        control_id=msh.raw(10).strip(),
        processing=processing,
        version=version,
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


def _read_coded(kind: str, processing: str, version: str, delimiters: Delimiters) -> tuple[str, str, str, str]:
    """Kind and event as in `Header`, processing and version, of MSH-9, MSH-11 and MSH-12 as sent."""
    told = _kind(read_text(kind, delimiters), read_text(kind, delimiters, 2))
    return *told, read_text(processing, delimiters), read_text(version, delimiters)


_remember_coded = lru_cache(maxsize=256)(_read_coded)
"""All senders of a site together have a handful of them."""


def _kind(code: str, event: str) -> tuple[str, str]:
    """MSH-9, where a type that has one event here may leave the event out, as version 2.1 did."""
    events = EVENTS.get(code, ())
    if not event and len(events) == 1:
        event = events[0]
    return (f"{code}^{event}" if event in events else ""), event
