"""A-ASSOCIATE: who may call, and what for (PS3.8 9.3.2 to 9.3.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv6Address, ip_address
from struct import Struct, error
from typing import Final

from radbridge.config.dicom import Dicom, DicomPeer
from radbridge.errors import MessageFault
from radbridge_adapters.dicom.encoding.coding import GE_IMPLICIT
from radbridge_adapters.dicom.encoding.header import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from radbridge_adapters.dicom.encoding.part10 import IMPLEMENTATION
from radbridge_adapters.dicom.network.classes import AVAILABILITY, COMMITMENT, PROCEDURE_STEP, VERIFICATION
from radbridge_adapters.dicom.network.pdu import PduType

STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
"""Every storage class of the standard, known today or not, stands below this root (PS3.6 annex A)."""
SERVICE_CLASSES: Final = frozenset({VERIFICATION, PROCEDURE_STEP, COMMITMENT, AVAILABILITY})
"""Those that aren't storage: their data sets are never compressed."""

_PLAIN: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
"""What is chosen where it is offered: nothing has to be inflated or swapped."""
_ACCEPTED, _UNKNOWN_CLASS, _NO_SYNTAX = 0, 3, 4
_MAX_PDU_UNSAID: Final = 16384
_LEAST_PDU: Final = 128
"""A peer that takes less at a time would have an answer cut into thousands of PDUs."""
_VERSION: Final = "RADBRIDGE"

_HEAD: Final = Struct(">BxI")
_FIXED: Final = Struct(">H2x16s16s32x")
_ITEM: Final = Struct(">BxH")


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that was accepted."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The association is open once `answer` is sent."""

    calling: str = field(repr=False)
    peer_name: str
    """Name of the configured peer; empty where anybody may call."""
    contexts: Mapping[int, Context]
    max_pdu_bytes: int
    """The longest P-DATA-TF that the peer takes; 0: any."""
    answer: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """`answer` says no."""

    reason: str
    answer: bytes


REJECTIONS: Final = {
    "called_ae_title": (1, 1, 7),
    "calling_ae_title": (1, 1, 3),
    "application_context": (1, 1, 2),
    "protocol_version": (1, 2, 2),
    "max_associations": (2, 3, 2),
}
"""Reason -> result, source and reason of the A-ASSOCIATE-RJ (PS3.8 table 9-21)."""


class Negotiator:
    """Judges association requests by the site's configuration. Pure."""

    def __init__(self, settings: Dicom) -> None:
        self._settings = settings

    def judge(self, body: bytes, host: str, *, full: bool) -> Accepted | Refused:
        """The answer to an A-ASSOCIATE-RQ from the address `host`. Raises MessageFault for what is none."""
        try:
            return self._judge(body, host, full=full)
        except (error, ValueError):
            raise _invalid() from None

    def _judge(self, body: bytes, host: str, *, full: bool) -> Accepted | Refused:
        version, called, calling = _FIXED.unpack_from(body)
        title = calling.decode("ascii").strip(" \0")
        proposed: dict[int, tuple[str, list[str]]] = {}
        application, most = "", _MAX_PDU_UNSAID
        for kind, item in _items(body[_FIXED.size :]):
            match kind:
                case 0x10:
                    application = _uid(item)
                case 0x20:
                    number, abstract, syntaxes = _read_context(item)
                    if number in proposed:
                        raise _invalid()
                    proposed[number] = (abstract, syntaxes)
                case 0x50:
                    most = next((int.from_bytes(v, "big") for k, v in _items(item) if k == 0x51), most)
        if not proposed or 0 < most < _LEAST_PDU:
            raise _invalid()
        peer = self._peer(title, host)
        checks = {
            "protocol_version": version & 1,
            "application_context": application == "1.2.840.10008.3.1.1.1",
            "called_ae_title": self._settings.any_called_title
            or called.decode("ascii").strip(" \0") == self._settings.ae_title,
            "calling_ae_title": peer is not None or not self._settings.peers,
            "max_associations": not full,
        }
        for reason, passed in checks.items():
            if not passed:
                return Refused(
                    reason=reason, answer=_HEAD.pack(PduType.ASSOCIATE_RJ, 4) + bytes((0, *REJECTIONS[reason]))
                )
        results = {number: self._choose(abstract, syntaxes) for number, (abstract, syntaxes) in proposed.items()}
        return Accepted(
            calling=title,
            peer_name=peer.name if peer else "",
            contexts={
                number: Context(number, proposed[number][0], syntax)
                for number, (result, syntax) in results.items()
                if result == _ACCEPTED
            },
            max_pdu_bytes=most,
            answer=_accept(body, results, self._settings.max_pdu_bytes),
        )

    def _peer(self, title: str, host: str) -> DicomPeer | None:
        """The first configured peer that this caller can be."""
        address = ip_address(host.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        for peer in self._settings.peers:
            if peer.ae_title == title and (not peer.addresses or any(address in network for network in peer.addresses)):
                return peer
        return None

    def _choose(self, abstract: str, syntaxes: list[str]) -> tuple[int, str]:
        is_storage = abstract.startswith(STORAGE) or abstract in self._settings.private_classes
        if not is_storage and abstract not in SERVICE_CLASSES:
            return _UNKNOWN_CLASS, IMPLICIT_LITTLE
        for syntax in _PLAIN:
            if syntax in syntaxes:
                return _ACCEPTED, syntax
        if is_storage:
            for syntax in syntaxes:
                if syntax in transfer_syntaxes():
                    return _ACCEPTED, syntax
        return _NO_SYNTAX, IMPLICIT_LITTLE


@cache
def transfer_syntaxes() -> frozenset[str]:
    """Every one of the standard, and a vendor's: pixels aren't decoded, so their compression doesn't matter."""
    from pydicom.uid import AllTransferSyntaxes

    return frozenset({*AllTransferSyntaxes, GE_IMPLICIT})


def _items(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(raw):
        kind, length = _ITEM.unpack_from(raw, at)
        at += _ITEM.size
        if length > len(raw) - at:
            raise _invalid()
        yield kind, raw[at : at + length]
        at += length


def _read_context(item: bytes) -> tuple[int, str, list[str]]:
    if len(item) < 4 or not item[0] & 1:
        raise _invalid()
    abstract, syntaxes = "", []
    for kind, value in _items(item[4:]):
        if kind == 0x30:
            abstract = _uid(value)
        elif kind == 0x40:
            syntaxes.append(_uid(value))
    if not abstract or not syntaxes:
        raise _invalid()
    return item[0], abstract, syntaxes


def _uid(raw: bytes) -> str:
    return raw.decode("ascii").strip("\0 ")


def _accept(request: bytes, results: Mapping[int, tuple[int, str]], max_pdu_bytes: int) -> bytes:
    contexts = b"".join(
        _item(0x21, bytes((number, 0, result, 0)) + _item(0x40, syntax.encode()))
        for number, (result, syntax) in results.items()
    )
    user = (
        _item(0x51, max_pdu_bytes.to_bytes(4, "big"))
        + _item(0x52, IMPLEMENTATION.encode())
        + _item(0x55, _VERSION.encode())
    )
    titles = request[4 : _FIXED.size]
    body = b"\0\1\0\0" + titles + _item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + _item(0x50, user)
    return _HEAD.pack(PduType.ASSOCIATE_AC, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _invalid() -> MessageFault:
    return MessageFault("invalid_pdu", "the A-ASSOCIATE-RQ can't be read")
