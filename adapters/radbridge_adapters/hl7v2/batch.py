"""Batches without a socket: one block of messages in, the blocks of a block of answers out (HL7 2.5.1, chapter 2.10.3).

    [FHS] { [BHS] { MSH … } [BTS] } [FTS]

Cut on bytes: each message has a character set of its own. What a trailer announces and what came are both told, and
every message stands for itself whatever its trailer says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from radbridge.errors import MessageFault
from radbridge_adapters.hl7v2.ack import AckWriter, new_id
from radbridge_adapters.hl7v2.er7 import Segment, read_delimiters
from radbridge_adapters.hl7v2.faults import fault
from radbridge_adapters.hl7v2.header import Header

ENVELOPE = (b"FHS", b"BHS", b"BTS", b"FTS")
"""What stands around messages and belongs to none."""

_HEAD = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n\t ]*(?:FHS|BHS)")
_SEGMENT = re.compile(rb"[^\r\n]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The messages from a BHS to its BTS."""

    header: bytes = field(default=b"", repr=False)
    """The BHS; empty where there is none."""
    messages: tuple[bytes, ...] = field(repr=False)
    told: int | None = None
    """BTS-1: how many there should be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchFile:
    """All batches of a block."""

    header: bytes = field(default=b"", repr=False)
    """The FHS; empty where there is none."""
    batches: tuple[Batch, ...]
    told: int | None = None
    """FTS-1: how many batches there should be."""

    @property
    def agrees(self) -> bool:
        """Whether as much came as the trailers say."""
        counts = [(b.told, len(b.messages)) for b in self.batches] + [(self.told, len(self.batches))]
        return all(told in (None, came) for told, came in counts)


def is_batch(block: bytes) -> bool:
    """Whether a block holds a batch and no bare message."""
    return _HEAD.match(block) is not None


def read_batch(block: bytes, *, at_most: int) -> BatchFile:
    """The messages of a block that is a batch. Raises MessageFault `batch_deep`, or `batch_size` over `at_most`."""
    header, told, past_end = b"", None, False
    parts: list[_Part] = []
    count = 0
    for name, line in _segments(block):
        if past_end or (name == b"FHS" and (header or parts)):
            raise fault("batch_deep")
        if name == b"FHS":
            header = line
        elif name == b"FTS":
            told, past_end = _count(line), True
        elif name == b"BHS":
            if parts and not parts[-1].ended:
                raise fault("batch_deep")
            parts.append(_Part(header=line))
        elif name == b"BTS" and parts and not parts[-1].ended:
            parts[-1].told, parts[-1].ended = _count(line), True
        else:
            if not parts or parts[-1].ended:
                parts.append(_Part())
            count += parts[-1].add(name, line)
        if count > at_most:
            raise fault("batch_size")
    return BatchFile(header=header, batches=tuple(part.close() for part in parts), told=told)


@dataclass(slots=True)
class _Part:
    """A batch as far as it has been read."""

    header: bytes = b""
    messages: list[list[bytes]] = field(default_factory=list)
    told: int | None = None
    ended: bool = False

    def add(self, name: bytes, line: bytes) -> int:
        """Add a segment; 1 when a message begins with it. What stands before the first MSH is a message as it is."""
        begins = name == b"MSH" or not self.messages
        if begins:
            self.messages.append([])
        self.messages[-1].append(line)
        return int(begins)

    def close(self) -> Batch:
        messages = tuple(b"\r".join([*lines, b""]) for lines in self.messages)
        return Batch(header=self.header, messages=messages, told=self.told)


def read_envelope(line: bytes) -> Header:
    """The sender and the id (BHS-11, FHS-11) of a header segment, as a header to answer to; empty where unreadable."""
    text = line.decode("utf-8", "replace")
    try:
        delimiters = read_delimiters(text[:9])
    except MessageFault:
        return Header()
    segment = Segment(text, delimiters)
    return Header(
        application=segment.raw(3),
        facility=segment.raw(4),
        control_id=segment.raw(11).strip(),
        standard_delimiters=segment.raw(2)[:4] == "^~\\&" and segment.raw(1) == "|",
    )


def write_answers(writer: AckWriter, asked: BatchFile, answers: Sequence[Sequence[bytes]]) -> bytes:
    """The answers to the messages of each batch, in their order, as one block; empty where no message wants one."""
    if not any(answer for batch in answers for answer in batch):
        return b""
    out = [_open(writer, b"FHS", asked.header)] if asked.header else []
    for batch, given in zip(asked.batches, answers, strict=True):
        told = [answer for answer in given if answer]
        out += [_open(writer, b"BHS", batch.header), *told]
        out.append(f"BTS|{len(told)}{_remark('messages', batch.told, len(batch.messages))}\r".encode())
    if asked.header:
        out.append(f"FTS|{len(asked.batches)}{_remark('batches', asked.told, len(asked.batches))}\r".encode())
    return b"".join(out)


def _open(writer: AckWriter, name: bytes, asked: bytes) -> bytes:
    header = read_envelope(asked)
    fields, now = writer.envelope(header)
    return f"{name.decode()}|{fields}|{now}||||{new_id()}|{writer.echo_id(header)}\r".encode("utf-8", "replace")


def _remark(what: str, told: int | None, came: int) -> str:
    """BTS-2, FTS-2."""
    return "" if told in (None, came) else f"|{told} {what} were announced and {came} came"


def _count(line: bytes) -> int | None:
    """BTS-1 or FTS-1; None where it says no number."""
    told = line[4:].split(line[3:4] or b"|", 1)[0].strip()
    return int(told) if told.isdigit() and len(told) <= 9 else None


def _segments(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    for match in _SEGMENT.finditer(block.removeprefix(b"\xef\xbb\xbf")):
        line = match[0]
        if line.strip():
            yield line[:3], line
