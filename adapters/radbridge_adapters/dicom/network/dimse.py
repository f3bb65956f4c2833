"""DIMSE command sets (PS3.7 6.3 and annex E): Implicit VR LE, group 0000 alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct, error
from typing import Final

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.network.services import Answer, Event

Value = int | str | tuple[int, ...]


class CommandField(IntEnum):
    """Requests (PS3.7 E.1); a response has bit 15 set."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF


_RESPONSE: Final = 0x8000
NO_DATA_SET: Final = 0x0101
MOST_COMMAND: Final = 64 * 1024
"""Bytes of a command set; a real one has two hundred."""

ELEMENTS: Final = {
    0x0000: ("CommandGroupLength", "UL"),
    0x0002: ("AffectedSOPClassUID", "UI"),
    0x0003: ("RequestedSOPClassUID", "UI"),
    0x0100: ("CommandField", "US"),
    0x0110: ("MessageID", "US"),
    0x0120: ("MessageIDBeingRespondedTo", "US"),
    0x0700: ("Priority", "US"),
    0x0800: ("CommandDataSetType", "US"),
    0x0900: ("Status", "US"),
    0x0901: ("OffendingElement", "AT"),
    0x0902: ("ErrorComment", "LO"),
    0x0903: ("ErrorID", "US"),
    0x1000: ("AffectedSOPInstanceUID", "UI"),
    0x1001: ("RequestedSOPInstanceUID", "UI"),
    0x1002: ("EventTypeID", "US"),
    0x1005: ("AttributeIdentifierList", "AT"),
    0x1008: ("ActionTypeID", "US"),
}
"""Element of group 0000 -> keyword and VR; only what is read or written here."""

_HEAD: Final = Struct("<HHI")
_SHORT: Final = Struct("<H")
_PAIR: Final = Struct("<HH")
_LENGTH: Final = Struct("<HHII")


@dataclass(frozen=True, slots=True)
class Command:
    """One command set as received."""

    elements: Mapping[int, bytes]
    """By element number in group 0000; the last of several."""
    field: int
    has_data_set: bool

    @property
    def is_response(self) -> bool:
        return bool(self.field & _RESPONSE)

    @property
    def sop_class(self) -> str:
        """Affected or Requested SOP Class UID; empty where there is none."""
        return self.uid(0x0002) or self.uid(0x0003)

    @property
    def sop_instance(self) -> str:
        """Affected or Requested SOP Instance UID; empty where there is none."""
        return self.uid(0x1000) or self.uid(0x1001)

    def short(self, element: int) -> int:
        """A US value. Raises MessageFault when it isn't there."""
        return _short(self.elements, element)

    def uid(self, element: int) -> str:
        """A UI value without padding; empty when it isn't there. What isn't ASCII becomes `?`."""
        return self.elements.get(element, b"").decode("ascii", "replace").replace("\ufffd", "?").strip("\0 ")


def _short(elements: Mapping[int, bytes], element: int) -> int:
    value = elements.get(element, b"")
    if len(value) < 2:
        raise MessageFault("bad_command", "the command set lacks an element", where=f"(0000,{element:04X})")
    return int(_SHORT.unpack_from(value)[0])


def decode(raw: bytes) -> Command:
    """A command set. Raises MessageFault `bad_command`."""
    elements: dict[int, bytes] = {}
    at, end = 0, len(raw)
    while at < end:
        try:
            group, element, length = _HEAD.unpack_from(raw, at)
        except error:
            raise MessageFault("bad_command", "the command set ends in mid-element") from None
        at += _HEAD.size
        if group or length > end - at:
            raise MessageFault("bad_command", "the command set holds what none may hold")
        elements[element] = raw[at : at + length]
        at += length
    command = Command(elements, _short(elements, 0x0100), _short(elements, 0x0800) != NO_DATA_SET)
    for needed in _needed(command):
        command.short(needed)
    return command


def _needed(command: Command) -> tuple[int, ...]:
    if command.is_response:
        return (0x0120, 0x0900)
    if command.field == CommandField.C_CANCEL:
        return (0x0120,)
    return (0x0110, 0x1008) if command.field == CommandField.N_ACTION else (0x0110,)


def encode(elements: Iterable[tuple[int, Value]]) -> bytes:
    """A command set of element numbers (in order) and values; its group length is put before it."""
    body = b"".join(
        _HEAD.pack(0, element, len(value)) + value for element, value in ((e, _value(v)) for e, v in elements)
    )
    return _LENGTH.pack(0, 0, 4, len(body)) + body


def _value(value: Value) -> bytes:
    match value:
        case int():
            return _SHORT.pack(value)
        case str():
            raw = value.encode("ascii")
            return raw + b"\0" * (len(raw) & 1)
        case tags:
            return b"".join(_PAIR.pack(tag >> 16, tag & 0xFFFF) for tag in tags)


_NORMALIZED: Final = 0x0100
"""Bit of the N services (PS3.7 E.1)."""


def response(command: Command, answer: Answer) -> bytes:
    """The response to `command` (PS3.7 9.3, 10.3), without a data set."""
    is_normalized = command.field & _NORMALIZED and command.field != CommandField.C_CANCEL
    elements: list[tuple[int, Value]] = []
    if command.sop_class:
        elements.append((0x0002, _sent_back(command.sop_class)))
    elements += [
        (0x0100, command.field | _RESPONSE),
        (0x0120, command.short(0x0110)),
        (0x0800, NO_DATA_SET),
        (0x0900, answer.status),
    ]
    if answer.offending and not is_normalized:
        elements.append((0x0901, answer.offending))
    if answer.comment:
        comment = answer.comment[:64]
        elements.append((0x0902, comment + " " * (len(comment) & 1)))
    if answer.error is not None:
        elements.append((0x0903, answer.error))
    if instance := answer.sop_instance or command.sop_instance:
        elements.append((0x1000, _sent_back(instance)))
    if answer.offending and is_normalized:
        elements.append((0x1005, answer.offending))
    return encode(elements)


def _sent_back(uid: str) -> str:
    return uid[:64].encode("ascii", "replace").decode()


def event_report(message_id: int, event: Event) -> bytes:
    """An N-EVENT-REPORT-RQ whose data set follows (PS3.7 10.3.1)."""
    return encode(
        [
            (0x0002, event.sop_class),
            (0x0100, CommandField.N_EVENT_REPORT),
            (0x0110, message_id),
            (0x0800, 0x0001),
            (0x1000, event.sop_instance),
            (0x1002, event.type),
        ]
    )
