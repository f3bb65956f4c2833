"""Text as DICOM's value representations hold it (PS3.5, 6.2), and the smallest character set that can."""

from __future__ import annotations

import re
from typing import Final

SHORT: Final = 16
"""Characters of an SH."""
LONG: Final = 64
"""Characters of an LO, and of one component group of a PN."""
_ASCII, _LATIN_1, _UTF_8 = "", "ISO_IR 100", "ISO_IR 192"
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NAME_PARTS = 3


def identifier(text: str, most: int = LONG) -> str:
    """An identifier as it is, or nothing when it doesn't fit: part of an identifier is somebody else's."""
    kept = text.strip(" ")
    return "" if len(kept) > most or "\\" in kept or _UNWRITABLE.search(kept) else kept


def line(text: str, most: int = LONG) -> str:
    """Text for one line, cut where it is too long."""
    return " ".join(_clean(text).replace("\\", "/").split())[:most].strip()


def paragraphs(text: str) -> str:
    """Text of several lines for a UT: they end in CR LF (PS3.5, 6.1.3). Empty ones at both ends are dropped."""
    kept = [_clean(one).rstrip() for one in text.splitlines()]
    return "\r\n".join(kept).strip("\r\n ")


def person_name(text: str) -> str:
    """Family, given and middle name, which HL7, FHIR and PN (PS3.5, 6.2.1) put in the same order."""
    parts = _clean(text).translate(_NO_DELIMITERS).split("^")[:_NAME_PARTS]
    return "^".join(" ".join(part.split()) for part in parts).rstrip("^")[:LONG]


def charset_of(*texts: str) -> str:
    """SpecificCharacterSet (C.12.1.1.2) that holds all of them; empty for plain ASCII."""
    text = "".join(texts)
    if text.isascii():
        return _ASCII
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return _UTF_8
    return _LATIN_1


def _clean(text: str) -> str:
    return _UNWRITABLE.sub(" ", text)


_NO_DELIMITERS = str.maketrans("\\=", "  ")
