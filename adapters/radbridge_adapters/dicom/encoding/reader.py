"""Reads a data set as it comes and keeps its header: memory is bounded, whatever is sent."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.encoding.bulk import BULK, BULK_GROUPS, ENCAPSULATED_DOCUMENT, MOST_OF_ONE, PIXEL_GROUP
from radbridge_adapters.dicom.encoding.coding import DEFLATED, ITEMS, UNDEFINED, Head, coding_of
from radbridge_adapters.dicom.encoding.header import Header
from radbridge_adapters.dicom.encoding.meta import MetaReader, has_no_head
from radbridge_adapters.dicom.encoding.nesting import Nesting

_PARTIAL: Final = 64 * 1024
"""Bytes that are kept of an object that came to nothing."""
_MOST_ELEMENTS: Final = 10_000
"""Of the top level, far more than any object has: each that is kept costs memory beside its bytes."""
_INFLATE: Final = 64 * 1024
_MOST_INFLATED: Final = 16
"""Times `max_header_bytes` that a deflated data set may have before its pixels: more is a bomb."""


class HeaderReader:
    """Walks a data set's elements in whatever pieces they come.

    An element is copied to what is kept, or counted and dropped, byte by byte as it arrives: no element is ever waited
    for. From the first of group 7FE0 on nothing is looked at.
    """

    def __init__(
        self, transfer_syntax: str, *, max_header_bytes: int, wanted: frozenset[int] = frozenset(), whole: bool = False
    ) -> None:
        """`wanted` are tags that are kept however long they are; with `whole`, every one is (a report)."""
        self._coding = coding_of(transfer_syntax)
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if transfer_syntax in DEFLATED else None
        self._max = max_header_bytes
        self._wanted = wanted
        self._whole = whole
        self._kept = bytearray()
        self._index: dict[int, tuple[int, int, int]] = {}
        self._nesting = Nesting(self._kept, max_header_bytes)
        self._notes: dict[str, None] = {}
        self._size = 0
        self._inflated = 0
        self._meta: MetaReader | None = MetaReader()
        self._done = False
        self._rest = b""
        self._left = 0
        self._keeping = False

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return len(self._kept) + len(self._rest) + (self._meta.held if self._meta else 0)

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next piece.

        Raises MessageFault `not_dicom`, `bad_length`, `too_deep`, `deflate` or `header_too_big`; then the reader is to
        be fed no more.
        """
        self._size += len(data)
        if self._done:
            return
        if self._meta and not self._meta.held and has_no_head(data):
            self._meta = None
        if self._meta is None:
            self._take(data)
        elif self._meta.feed(data):
            self._begin(self._meta)

    def end(self) -> Header:
        """What was kept. Raises MessageFault `truncated` when the data set stops in mid-element before its pixels."""
        if self._meta:
            if self._meta.found:
                raise MessageFault("truncated", "the data set ends in the head of a file")
            self._begin(self._meta)
        if not self._done and (self._rest or self._left or self._nesting):
            raise MessageFault("truncated", "the data set ends in mid-element")
        return self._header(len(self._kept))

    def partial(self) -> Header:
        """What was kept so far, of an object that comes to nothing: its first 64 KiB, maybe cut in mid-element."""
        return self._header(_PARTIAL)

    def _header(self, most: int) -> Header:
        return Header(
            elements=bytes(self._kept[:most]),
            syntax=self._coding.syntax,
            size=self._size,
            note=", ".join(self._notes),
            index=self._index,
        )

    def _begin(self, meta: MetaReader) -> None:
        """Go on after the head of a file, which some senders put before the data set."""
        self._meta = None
        if meta.found:
            self._notes["meta_in_dataset"] = None
        if meta.transfer_syntax:
            self._coding = coding_of(meta.transfer_syntax)
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if meta.transfer_syntax in DEFLATED else None
        self._take(meta.rest)

    def _take(self, data: bytes | memoryview) -> None:
        for piece in self._inflate(data) if self._inflater else (data,):
            self._walk(piece)

    def _inflate(self, data: bytes | memoryview) -> Iterator[bytes]:
        inflater = self._inflater
        while inflater and data and not self._done:
            try:
                piece = inflater.decompress(data, _INFLATE)
            except zlib.error:
                raise MessageFault("deflate", "the data set can't be inflated") from None
            self._inflated += len(piece)
            if self._inflated > _MOST_INFLATED * self._max:
                raise MessageFault("header_too_big", "the inflated data set is larger than a header may be")
            yield piece
            data = inflater.unconsumed_tail

    def _walk(self, data: bytes | memoryview) -> None:
        if self._rest:
            data = self._rest + bytes(data)
        at, end = 0, len(data)
        while not self._done:
            if self._left:
                at = self._pass(data, at, end)
                if self._left:
                    break
            before, nested = at, bool(self._nesting)
            at = self._walk_nested(data, at, end) if nested else self._walk_top(data, at, end)
            if at == before and bool(self._nesting) is nested:
                break
        self._nesting.offset += at
        self._rest = b"" if self._done else bytes(data[at:])

    def _pass(self, data: bytes | memoryview, at: int, end: int) -> int:
        step = min(self._left, end - at)
        if self._keeping:
            self._kept += data[at : at + step]
        self._left -= step
        return at + step

    def _walk_nested(self, data: bytes | memoryview, at: int, end: int) -> int:
        nesting = self._nesting
        at, self._left, self._keeping = nesting.walk(data, at, end)
        if nesting.odd:
            self._notes["odd_length"] = None
        if not nesting and nesting.keep:
            self._index[nesting.tag] = (nesting.start, nesting.value, len(self._kept))
        return at

    def _walk_top(self, data: bytes | memoryview, at: int, end: int) -> int:
        """Pass the elements that have come in full. Those that are kept are copied in runs, not one by one."""
        read, kept, index = self._coding.read, self._kept, self._index
        run, base = at, len(kept) - at
        while (head := read(data, at, end)) is not None:
            group, element, vr, size, length = head
            tag = group << 16 | element
            if group == PIXEL_GROUP:
                self._done = True
                break
            if vr == b"SQ" or length == UNDEFINED:
                kept += data[run:at]
                return self._open(head, data, at)
            if length & 1:
                self._notes["odd_length"] = None
            value = at + size
            stop = value + length
            if self._is_kept(group, tag, length):
                if base + stop > self._max:
                    raise MessageFault("header_too_big", "the header is larger than dicom.max_header_bytes")
                index[tag] = (base + at, base + value, base + stop)
                at = stop
            else:
                kept += data[run:at]
                run = at = stop
                base = len(kept) - at
            if stop > end:
                self._left, self._keeping = stop - end, run != stop
                at = end
                run = min(run, end)
                break
        kept += data[run:at]
        if len(index) > _MOST_ELEMENTS:
            raise MessageFault("header_too_big", "the header has more elements than any object has")
        return at

    def _open(self, head: Head, data: bytes | memoryview, at: int) -> int:
        group, element, _, size, length = head
        tag = group << 16 | element
        keep = self._is_kept(group, tag, 0 if length == UNDEFINED else length)
        bounded = not (self._whole or tag in self._wanted)
        self._nesting.open(self._coding, head, data, at, keep=keep, bounded=bounded)
        return at + size

    def _is_kept(self, group: int, tag: int, length: int) -> bool:
        if group in (0, 2, ITEMS):
            raise MessageFault("not_dicom", "the data set holds a group that none may hold")
        if tag == ENCAPSULATED_DOCUMENT:
            self._notes["encapsulated: ignored"] = None
        return (
            not group & 1
            and tag & 0xFFFF != 0
            and tag not in BULK
            and group not in BULK_GROUPS
            and (length <= MOST_OF_ONE or self._whole or tag in self._wanted)
        )
