"""How elements are written (PS3.5 7.1): byte order, explicit or implicit VR."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.encoding.bulk import is_sequence
from radbridge_adapters.dicom.encoding.header import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE

DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Explicit VR LE, deflated (RFC 1951) as a whole: the plain one, and JPIP's two."""
GE_IMPLICIT: Final = "1.2.840.113619.5.2"
"""A vendor's: implicit LE elements, pixels big endian."""

UNDEFINED: Final = 0xFFFFFFFF
ITEMS: Final = 0xFFFE
"""Group of items and delimiters (PS3.5 7.5), which never have a VR."""
ITEM: Final = 0xE000
ITEM_END: Final = 0xE00D
SEQUENCE_END: Final = 0xE0DD

SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
"""Two bytes of length (PS3.5 table 7.1-2)."""
LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Two reserved bytes, then four of length (table 7.1-1)."""


Head = tuple[int, int, bytes, int, int]
"""An element without its value: group, element, VR, bytes of the head, length of the value.

Of Implicit VR the VR is `SQ` for what is known to be a sequence, else `UN`.
"""


@dataclass(frozen=True, slots=True)
class Coding:
    """One of the three ways to write elements."""

    syntax: str
    implicit: bool
    head: Struct
    """Group, element, VR and short length; of Implicit VR group, element and length."""
    length: Struct
    item: Struct
    """Group, element and length of an item or delimiter."""

    def read(self, data: bytes | bytearray | memoryview, at: int, end: int) -> Head | None:
        """The element's head at `at`; None when it hasn't all come. Raises MessageFault for what is no VR."""
        if end - at < 8:
            return None
        if self.implicit:
            group, element, length = self.head.unpack_from(data, at)
            holds_items = length == UNDEFINED or is_sequence(group << 16 | element)
            return group, element, b"SQ" if holds_items else b"UN", 8, length
        group, element, vr, length = self.head.unpack_from(data, at)
        if vr in SHORT_VRS:
            return group, element, vr, 8, length
        if vr not in LONG_VRS:
            raise MessageFault("not_dicom", "the data set holds an element of no known VR")
        if end - at < 12:
            return None
        return group, element, vr, 12, self.length.unpack_from(data, at + 8)[0]


def _coding(syntax: str, order: str, *, implicit: bool = False) -> Coding:
    item = Struct(f"{order}HHI")
    head = item if implicit else Struct(f"{order}HH2sH")
    return Coding(syntax, implicit, head, Struct(f"{order}I"), item)


IMPLICIT: Final = _coding(IMPLICIT_LITTLE, "<", implicit=True)
EXPLICIT: Final = _coding(EXPLICIT_LITTLE, "<")
BIG: Final = _coding(EXPLICIT_BIG, ">")

_CODINGS: Final = {IMPLICIT_LITTLE: IMPLICIT, GE_IMPLICIT: IMPLICIT, EXPLICIT_BIG: BIG}


def coding_of(transfer_syntax: str) -> Coding:
    """How elements are written in `transfer_syntax`: all compressed ones are Explicit VR LE (PS3.5 A.4)."""
    return _CODINGS.get(transfer_syntax, EXPLICIT)
