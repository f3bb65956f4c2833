"""One block judged: can it be taken in, and what is the answer? No socket, no journal."""

from __future__ import annotations

from radbridge.errors import MessageFault
from radbridge.wire import Received, Rejected
from radbridge_adapters.hl7v2.accession import AccessionPlaces
from radbridge_adapters.hl7v2.ack import AckWriter
from radbridge_adapters.hl7v2.faults import ANSWERS
from radbridge_adapters.hl7v2.framing import Fault, Frame
from radbridge_adapters.hl7v2.header import (
    Header,
    check_header,
    check_patients,
    find_accession,
    read_header,
    read_message,
)

WIRE = "hl7v2"


class Reception:
    """Judges blocks by the site's rules."""

    def __init__(self, acks: AckWriter, places: AccessionPlaces, default_charset: str) -> None:
        self._acks = acks
        self._places = places
        self._default_charset = default_charset

    def judge(self, block: Frame | Fault, peer: str) -> tuple[Header, Received | Rejected]:
        """The message of a block, or why it is none; with as much of its header as could be read."""
        if isinstance(block, Fault):
            header = self._glimpse(block.head)
            return header, self._reject(header, block.kind.value, block.head, block.size, peer)
        header = Header()
        raw = block.payload
        try:
            message = read_message(raw, self._default_charset)
            header = read_header(message)
            check_header(header, message)
            check_patients(header, message)
            accession = find_accession(header, message, self._places)
        except MessageFault as fault:
            return header, self._reject(header, fault.reason, raw, len(raw), peer)
        return header, Received(
            wire=WIRE,
            peer=peer,
            sender=header.sender,
            control_id=header.control_id,
            kind=header.kind,
            accession=accession,
            raw=raw,
            ack=self._acks.accept(header),
        )

    def refuse(self, header: Header, reason: str) -> bytes:
        """A negative answer for a fault that is ours."""
        return self._acks.refuse(header, reason)

    def _glimpse(self, head: bytes) -> Header:
        """The header of a block that is not whole: its first segment may be all there."""
        first, ended, _ = head[:4096].partition(b"\r")
        try:
            return read_header(read_message(first, self._default_charset)) if ended else Header()
        except MessageFault:
            return Header()

    def _reject(self, header: Header, reason: str, raw: bytes, size: int, peer: str) -> Rejected:
        return Rejected(
            wire=WIRE,
            peer=peer,
            reason=reason,
            detail=ANSWERS[reason].message,
            control_id=header.control_id,
            kind=header.kind,
            raw=raw,
            size=size,
            ack=self._acks.refuse(header, reason),
        )
