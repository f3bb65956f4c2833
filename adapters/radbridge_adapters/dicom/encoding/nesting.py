"""Walks sequences, however deep, and writes what is kept of them with undefined lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.encoding.bulk import BULK, BULK_GROUPS, MOST_OF_ONE, PIXEL_GROUP
from radbridge_adapters.dicom.encoding.coding import (
    IMPLICIT,
    ITEM,
    ITEM_END,
    ITEMS,
    SEQUENCE_END,
    UNDEFINED,
    Coding,
    Head,
)

_DEPTH: Final = 16
"""Sequences in one another; the deepest templates of the standard need half of it."""
_NEVER: Final = 1 << 62
_OPEN_LENGTH: Final = b"\xff\xff\xff\xff"


@dataclass(slots=True)
class _Holder:
    """A sequence, an item, or a run of fragments, that isn't over."""

    closer: int
    """`SEQUENCE_END` or `ITEM_END`."""
    end: int
    """Where it ends, counted from the data set's start; `_NEVER` when a delimiter says so."""
    coding: Coding
    keep: bool
    fragments: bool = False
    """Its items hold bytes, no elements."""


class Nesting:
    """One top-level sequence at a time. True while it isn't over."""

    def __init__(self, kept: bytearray, most: int) -> None:
        """`kept` is where to write; it may not grow beyond `most` bytes."""
        self._kept = kept
        self._max = most
        self._holders: list[_Holder] = []
        self._bounded = True
        self.offset = 0
        """Bytes of the data set that came before the piece that is walked now."""
        self.tag = 0
        self.start = 0
        self.value = 0
        self.keep = False
        """Whether the sequence that was walked last was kept."""
        self.odd = False
        """Whether an element of odd length was seen."""

    def __bool__(self) -> bool:
        return bool(self._holders)

    def open(self, coding: Coding, head: Head, data: bytes | memoryview, at: int, *, keep: bool, bounded: bool) -> None:
        """Begin the sequence whose head is at `at`; when `bounded` it is dropped should it be over 64 KiB."""
        self.tag = head[0] << 16 | head[1]
        self.start = len(self._kept)
        self.keep = keep
        self._bounded = bounded
        self._push(coding, head, data, at, keep=keep)
        self.keep = self._holders[-1].keep
        self.value = len(self._kept)

    def walk(self, data: bytes | memoryview, at: int, end: int) -> tuple[int, int, bool]:
        """Go on from `at`.

        Gives where it stopped, how many bytes of a value come next, and whether they are kept. Raises MessageFault.
        """
        while self._holders:
            holder = self._holders[-1]
            if self.offset + at >= holder.end:
                self._close_at(self.offset + at)
                continue
            if end - at < 8:
                break
            group, element, length = holder.coding.item.unpack_from(data, at)
            if group == ITEMS:
                at += 8
                if fragment := self._mark(holder, element, length, self.offset + at):
                    return at, fragment, False
                continue
            if holder.closer == SEQUENCE_END:
                raise _bad_length()
            if (head := holder.coding.read(data, at, end)) is None:
                break
            if head[2] == b"SQ" or head[4] == UNDEFINED:
                self._push(holder.coding, head, data, at, keep=holder.keep and _is_kept(head))
                at += head[3]
                continue
            at, left, keep = self._take(holder, head, data, at, end)
            if left:
                return at, left, keep
        return at, 0, False

    def _mark(self, holder: _Holder, element: int, length: int, after: int) -> int:
        """Open an item or close what ends here; gives the bytes to pass over when it is a fragment."""
        if element == ITEM and holder.closer == SEQUENCE_END:
            if holder.fragments and length != UNDEFINED:
                return length
            self._push_item(holder, length, after)
        elif element == holder.closer and holder.end == _NEVER:
            self._close()
        else:
            raise _bad_length()
        return 0

    def _take(self, holder: _Holder, head: Head, data: bytes | memoryview, at: int, end: int) -> tuple[int, int, bool]:
        """Pass an element that is no sequence, or its head alone where the value hasn't all come."""
        size, length = head[3], head[4]
        value = at + size
        if self.offset + value + length > holder.end:
            raise _bad_length()
        self.odd = self.odd or bool(length & 1)
        keep = holder.keep and _is_kept(head) and self._has_room(size + length)
        whole = length <= end - value
        stop = value + length if whole else value
        if keep:
            self._kept += data[at:stop]
        return stop, 0 if whole else length, keep

    def _push(self, coding: Coding, head: Head, data: bytes | memoryview, at: int, *, keep: bool) -> None:
        if len(self._holders) >= 2 * _DEPTH:
            raise MessageFault("too_deep", "the data set's sequences are nested deeper than 16 levels")
        group, _, vr, size, length = head
        fragments = vr not in (b"SQ", b"UN") or group == PIXEL_GROUP
        keep = keep and not fragments and self._has_room(size)
        if keep:
            self._kept += data[at : at + size - 4]
            self._kept += _OPEN_LENGTH
        over = _NEVER if length == UNDEFINED else self.offset + at + size + length
        inner = IMPLICIT if vr == b"UN" else coding  # PS3.5 6.2.2 note 2
        self._holders.append(_Holder(SEQUENCE_END, over, inner, keep, fragments))

    def _push_item(self, holder: _Holder, length: int, here: int) -> None:
        keep = holder.keep and self._has_room(8)
        if keep:
            self._kept += holder.coding.item.pack(ITEMS, ITEM, UNDEFINED)
        over = _NEVER if length == UNDEFINED else here + length
        self._holders.append(_Holder(ITEM_END, over, holder.coding, keep))

    def _close_at(self, here: int) -> None:
        if here > self._holders[-1].end:
            raise _bad_length()
        self._close()

    def _close(self) -> None:
        holder = self._holders.pop()
        if holder.keep:
            self._kept += holder.coding.item.pack(ITEMS, holder.closer, 0)

    def _has_room(self, length: int) -> bool:
        """Drops the whole sequence when it is too long to be a description; raises MessageFault for the header's."""
        if not self.keep:
            return False
        size = len(self._kept) + length
        if self._bounded and size - self.start > MOST_OF_ONE:
            del self._kept[self.start :]
            self.keep = False
            for holder in self._holders:
                holder.keep = False
            return False
        if size > self._max:
            raise MessageFault("header_too_big", "the header is larger than dicom.max_header_bytes")
        return True


def _is_kept(head: Head) -> bool:
    group, element = head[0], head[1]
    return not group & 1 and element != 0 and group not in BULK_GROUPS and group << 16 | element not in BULK


def _bad_length() -> MessageFault:
    return MessageFault("bad_length", "a sequence or item of the data set ends in the wrong place")
