"""The head of a Part 10 file (PS3.10 7.1), which some senders put before the data set although none belongs there."""

from __future__ import annotations

from typing import Final

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.encoding.coding import EXPLICIT

_HEAD_BYTES: Final = 132
"""Preamble and `DICM`."""
_GROUP: Final = 2
_TRANSFER_SYNTAX: Final = 0x0010
_MOST: Final = 64 * 1024


def has_no_head(data: bytes | memoryview) -> bool:
    """Whether these first bytes alone tell that the data set begins with them, as it should."""
    return len(data) >= _HEAD_BYTES and data[_HEAD_BYTES - 4 : _HEAD_BYTES] != b"DICM" and data[:2] != b"\2\0"


class MetaReader:
    """Takes the start of a data set, and tells where the data set itself begins."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = -1
        self.transfer_syntax = ""
        """What the file says that its data set is encoded in; empty when it doesn't."""

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return len(self._data)

    @property
    def found(self) -> bool:
        """Whether there is a head."""
        return self._at > 0 or int.from_bytes(self._data[:2], "little") == _GROUP

    @property
    def rest(self) -> bytes:
        """What came of the data set itself."""
        return bytes(self._data[max(0, self._at) :])

    def feed(self, data: bytes | memoryview) -> bool:
        """Take the next piece; True when the data set has begun. Raises MessageFault for a head that can't be one."""
        self._data += data
        if self._at < 0:
            if len(self._data) < _HEAD_BYTES:
                return False
            self._at = _HEAD_BYTES if self._data[_HEAD_BYTES - 4 : _HEAD_BYTES] == b"DICM" else 0
        return self._walk(len(self._data))

    def _walk(self, end: int) -> bool:
        while end - self._at >= 8:
            at = self._at
            if int.from_bytes(self._data[at : at + 2], "little") != _GROUP:
                return True
            if (head := EXPLICIT.read(self._data, at, end)) is None:
                return False
            _, element, _, size, length = head
            if at + size + length > _MOST:
                raise MessageFault("bad_length", "the file head before the data set is longer than any can be")
            if at + size + length > end:
                return False
            if element == _TRANSFER_SYNTAX:
                value = bytes(self._data[at + size : at + size + length])
                self.transfer_syntax = value.decode("ascii", "replace").strip("\0 ")
            self._at = at + size + length
        return False
