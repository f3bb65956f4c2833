"""One block judged: can it be taken in, and what is the answer? No socket, no journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from radbridge.errors import MessageFault
from radbridge.wire import Received, Rejected
from radbridge_adapters.hl7v2.accession import AccessionPlaces
from radbridge_adapters.hl7v2.ack import AckWriter
from radbridge_adapters.hl7v2.batch import BatchFile, read_batch, read_envelope, write_answers
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
from radbridge_adapters.hl7v2.keys import KeyCheck
from radbridge_adapters.hl7v2.priority import find_touched, is_urgent

WIRE = "hl7v2"


class Reception:
    """Judges blocks by the site's rules."""

    def __init__(
        self, acks: AckWriter, places: AccessionPlaces, default_charset: str, *, batch_max_messages: int = 1000
    ) -> None:
        self._acks = acks
        self._places = places
        self._keys = KeyCheck(places)
        self._default_charset = default_charset
        self._batch_max_messages = batch_max_messages

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
            touches = find_touched(header.kind, message, accession, self._places)
            self._keys.check(header, message, (accession, *touches) if accession else ())
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
            urgent=is_urgent(message),
            touches=touches,
            reply_to=header.application_ack if self._acks.mode(header).application else "",
        )

    def accept(self, header: Header, expected: int) -> bytes:
        """The positive answer that names the sequence number which is expected next (MSA-4)."""
        return self._acks.accept(header, expected=expected)

    def refuse(self, header: Header, reason: str, *, expected: int | None = None) -> bytes:
        """A negative answer for a fault that isn't the message's; may be empty."""
        return self._acks.refuse(header, reason, expected=expected)

    def reject(self, header: Header, reason: str, raw: bytes, peer: str, *, expected: int) -> Rejected:
        """A message that isn't taken in because of what came before it."""
        return replace(
            self._reject(header, reason, raw, len(raw), peer), ack=self.refuse(header, reason, expected=expected)
        )

    def conclude(self, header: Header, reason: str = "") -> bytes:
        """The application answer to a message that was applied, or not for `reason`; may be empty."""
        return self._acks.conclude(header, reason)

    def open_batch(self, block: bytes, peer: str) -> BatchFile | tuple[Header, Rejected]:
        """The messages of a block that is a batch, still to be judged; or why they can't be told apart."""
        try:
            return read_batch(block, at_most=self._batch_max_messages)
        except MessageFault as fault:
            head = block[:4096].lstrip(b"\xef\xbb\xbf\r\n\t ").split(b"\r", 1)[0]
            header = read_envelope(head)
            return header, self._reject(header, fault.reason, block, len(block), peer)

    def close_batch(self, asked: BatchFile, answers: Sequence[Sequence[bytes]]) -> bytes:
        """The answers to a batch's messages as one block; may be empty."""
        return write_answers(self._acks, asked, answers)

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
