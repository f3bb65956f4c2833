"""MLLP framing without a socket: bytes in, blocks out (HL7 "Transport Specification: MLLP, Release 1").

A block is `0B … 1C 0D`. What peers really send is read as follows:

- A `1C` with neither `0D` nor `0B` behind it is content.
- A `1C` followed by `0B` ends the block: the peer omits the `0D`. Where such a peer then falls silent, the driver calls
  `flush`, which ends a block that stops in `0D 1C` (a whole segment, then the end byte).
- A `0B` followed by `MSH` inside a block starts a new one: the earlier block was cut.
- Bytes outside a block are skipped and counted.
- A block over the limit is reported with its head and its true size; no more than the limit is ever held.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

START = b"\x0b"
END = b"\x1c\r"

_BOUNDARY = re.compile(rb"\x1c\r|\x1c(?=\x0b)|\x0b(?=MSH)")
_LOOKBACK = 3
"""Bytes at the end of what was scanned that may still become a boundary: `0B M S`."""


class FaultKind(StrEnum):
    """What was wrong with a block."""

    TOO_LARGE = "too_large"
    CUT = "cut"


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The content of one whole block."""

    payload: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A block that is no message: its first bytes, and how many were sent."""

    kind: FaultKind
    head: bytes = field(repr=False)
    size: int


def encode(payload: bytes) -> bytes:
    """`payload` as one block."""
    return START + payload + END


def _find_boundary(buffer: bytearray, at: int) -> re.Match[bytes] | None:
    """The first boundary. A search for one byte is some fifty times as fast as the pattern, which begins there."""
    places = [place for byte in b"\x1c\x0b" if (place := buffer.find(byte, at)) >= 0]
    return _BOUNDARY.search(buffer, min(places)) if places else None


class Decoder:
    """Finds blocks in a stream of bytes. Linear in the bytes fed, however they are cut."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._inside = False
        self._scanned = 0
        self._head: bytes | None = None
        self._dropped = 0
        self.skipped = 0
        """Bytes seen outside any block."""

    @property
    def held(self) -> int:
        """Bytes held in memory."""
        return len(self._buffer) + len(self._head or b"")

    @property
    def may_flush(self) -> bool:
        """Whether the block so far ends like a message whose sender omits the last `0D`."""
        return self._inside and self._head is None and self._buffer.endswith(b"\r\x1c")

    def feed(self, data: bytes) -> list[Frame | Fault]:
        """The blocks that `data` completes, in order."""
        self._buffer += data
        found: list[Frame | Fault] = []
        while self._enter():
            boundary = _find_boundary(self._buffer, self._scanned)
            if boundary is None:
                self._await_more()
                break
            found.append(self._leave(boundary.start(), boundary.end(), cut=boundary.group() == START))
        return found

    def flush(self) -> list[Frame | Fault]:
        """The block that a sender ended with `1C` alone and then fell silent, if there is one."""
        return [self._leave(len(self._buffer) - 1, len(self._buffer), cut=False)] if self.may_flush else []

    def close(self) -> list[Frame | Fault]:
        """What the end of the stream completes: a block that lacks its `0D`, or one that never ended, as a fault."""
        found = self.flush()
        if self._inside:
            found.append(self._leave(len(self._buffer), len(self._buffer), cut=True))
        return found

    def _enter(self) -> bool:
        if not self._inside:
            start = self._buffer.find(START)
            self._inside = start >= 0
            outside = start if self._inside else len(self._buffer)
            self.skipped += outside
            del self._buffer[: outside + self._inside]
        return self._inside

    def _await_more(self) -> None:
        excess = len(self._buffer) - self._max_bytes - _LOOKBACK
        if self._head is None and excess > 0:
            self._head = bytes(self._buffer[: self._max_bytes])
        if self._head is not None:
            drop = max(0, len(self._buffer) - _LOOKBACK)
            self._dropped += drop
            del self._buffer[:drop]
        self._scanned = max(0, len(self._buffer) - _LOOKBACK)

    def _leave(self, end: int, past: int, *, cut: bool) -> Frame | Fault:
        size = self._dropped + end
        head = self._head
        if head is None:
            head = bytes(self._buffer[: min(end, self._max_bytes)])
        del self._buffer[:past]
        self._inside = cut and past > end
        self._scanned, self._head, self._dropped = 0, None, 0
        if size > self._max_bytes:
            return Fault(kind=FaultKind.TOO_LARGE, head=head, size=size)
        if cut:
            return Fault(kind=FaultKind.CUT, head=head, size=size)
        return Frame(payload=head)
