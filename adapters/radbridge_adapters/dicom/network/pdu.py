"""PDUs of the DICOM upper layer (PS3.8 9.3), framed from a stream in whatever pieces it comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from radbridge.errors import MessageFault


class PduType(IntEnum):
    """First byte of a PDU."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class AbortReason(IntEnum):
    """Why the provider aborts (PS3.8 9.3.8)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    INVALID_PARAMETER = 6


@dataclass(frozen=True, slots=True)
class Pdu:
    """Any PDU but P-DATA-TF, whole."""

    type: PduType
    body: bytes = field(repr=False)
    """What follows the six bytes of its head."""


class Fragment(NamedTuple):
    """A piece of a presentation data value, as it came: a value is never waited for (PS3.8 9.3.5.1)."""

    context_id: int
    is_command: bool
    ends: bool
    """Whether the command or data set is over with it."""
    data: memoryview


_HEAD: Final = Struct(">BxI")
_VALUE_HEAD: Final = Struct(">IBB")
_LONGEST: Final = {
    PduType.ASSOCIATE_RQ: 64 * 1024,
    PduType.ASSOCIATE_AC: 64 * 1024,
    PduType.ASSOCIATE_RJ: 4,
    PduType.RELEASE_RQ: 4,
    PduType.RELEASE_RP: 4,
    PduType.ABORT: 4,
}
"""Bytes after the head; 128 contexts with 8 transfer syntaxes each are a third of 64 KiB."""
_SLACK: Final = 6
"""Some peers count the head of the PDU out of its length."""


class Framer:
    """Cuts one peer's stream into PDUs. Raises MessageFault `unrecognized_pdu` or `invalid_pdu`."""

    def __init__(self, max_pdu_bytes: int) -> None:
        """`max_pdu_bytes` is what was offered for P-DATA-TF (PS3.8 D.1)."""
        self._most = max_pdu_bytes + _SLACK
        self._rest = b""
        self._pdu_left = 0
        self._value_left = 0
        self._context_id = 0
        self._control = 0

    def feed(self, data: bytes) -> Iterator[Pdu | Fragment]:
        """The PDUs and fragments that `data` completes; to be taken all, or none after a fault."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        view, at, end = memoryview(data), 0, len(data)
        while at < end:
            if self._value_left:
                stop = min(end, at + self._value_left)
                yield self._fragment(view[at:stop])
                at = stop
            elif self._pdu_left:
                if end - at < _VALUE_HEAD.size:
                    break
                self._open_value(view, at)
                at += _VALUE_HEAD.size
                if not self._value_left:
                    yield self._fragment(view[at:at])
            else:
                size, pdu = self._read(view, at, end)
                if not size:
                    break
                if pdu:
                    yield pdu
                at += size
        self._rest = data[at:]

    def _read(self, view: memoryview, at: int, end: int) -> tuple[int, Pdu | None]:
        """How many bytes to pass, 0 while the PDU hasn't all come, and the PDU; of P-DATA-TF only its head."""
        try:
            pdu_type = PduType(view[at])
        except ValueError:
            raise MessageFault("unrecognized_pdu", "the peer sends something that is no DICOM") from None
        if end - at < _HEAD.size:
            return 0, None
        length = _HEAD.unpack_from(view, at)[1]
        if pdu_type is PduType.DATA:
            if not 0 < length <= self._most:
                raise _invalid("a P-DATA-TF is empty, or longer than was agreed on")
            self._pdu_left = length
            return _HEAD.size, None
        if length > _LONGEST[pdu_type]:
            raise _invalid("a PDU is longer than its type can be")
        stop = at + _HEAD.size + length
        return (0, None) if stop > end else (stop - at, Pdu(pdu_type, bytes(view[at + _HEAD.size : stop])))

    def _open_value(self, view: memoryview, at: int) -> None:
        length, self._context_id, self._control = _VALUE_HEAD.unpack_from(view, at)
        if length < 2 or length + 4 > self._pdu_left:
            raise _invalid("a presentation data value doesn't fit its PDU")
        self._pdu_left -= length + 4
        self._value_left = length - 2

    def _fragment(self, data: memoryview) -> Fragment:
        self._value_left -= len(data)
        ends = bool(self._control & 2) and not self._value_left
        return Fragment(self._context_id, bool(self._control & 1), ends, data)


def _invalid(message: str) -> MessageFault:
    return MessageFault("invalid_pdu", message)


RELEASE_RP: Final = _HEAD.pack(PduType.RELEASE_RP, 4) + bytes(4)


def abort_pdu(reason: AbortReason) -> bytes:
    """An A-ABORT of the service provider (source 2)."""
    return _HEAD.pack(PduType.ABORT, 4) + bytes((0, 0, 2, reason))


def data_pdus(context_id: int, message: bytes, *, is_command: bool, most: int) -> bytes:
    """`message` in P-DATA-TF PDUs of at most `most` bytes after their heads; 0: no limit."""
    step = max(1, most - _VALUE_HEAD.size) if most else max(1, len(message))
    pdus = []
    for at in range(0, max(1, len(message)), step):
        piece = message[at : at + step]
        control = int(is_command) | (2 if at + step >= len(message) else 0)
        size = len(piece) + _VALUE_HEAD.size
        pdus.append(_HEAD.pack(PduType.DATA, size) + _VALUE_HEAD.pack(size - 4, context_id, control) + piece)
    return b"".join(pdus)
