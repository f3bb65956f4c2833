"""Character sets: MSH-18 (HL7 table 0211) to text.

What MSH-18 says is believed when the bytes agree. Bytes that are no ASCII yet valid UTF-8 are UTF-8 even where a
single-byte set was declared: text in such a set is practically never valid UTF-8 by chance. What fits neither is tried
in the site's default and then read as Latin-1, which can't fail; the message is taken in and noted, since a report is
worth more than an accent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

CODECS = {
    "": "",
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    "8859/1": "iso8859-1",
    "8859/2": "iso8859-2",
    "8859/3": "iso8859-3",
    "8859/4": "iso8859-4",
    "8859/5": "iso8859-5",
    "8859/6": "iso8859-6",
    "8859/7": "iso8859-7",
    "8859/8": "iso8859-8",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "ISO IR14": "iso2022_jp_ext",
    "ISO IR87": "iso2022_jp_ext",
    "ISO IR159": "iso2022_jp_ext",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5hkscs",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
}
"""Table 0211 to Python's codecs. Sets whose bytes can't travel in MLLP (UTF-16, UTF-32) are absent."""

_SPELLINGS = {"".join(c for c in name if c.isalnum()): codec for name, codec in CODECS.items()} | {
    "UTF8": "utf-8",
    "ISO88591": "iso8859-1",
    "ISOIR100": "iso8859-1",
    "ISOIR192": "utf-8",
    "GB18030": "gb18030",
    "USASCII": "ascii",
}
"""The same without punctuation, and what senders write in its place (DICOM's names among it)."""

_SINGLE_BYTE = ("ascii", "iso8859")


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """Text, the codec that read it, and whether that is another than the message declared."""

    text: str = field(repr=False)
    codec: str
    lied: bool = False


@lru_cache(maxsize=64)
def codec_for(declared: str, default: str) -> str | None:
    """The codec for MSH-18; `default` when empty, None when unknown.

    Of several repetitions the one that needs ISO 2022 escapes wins, as its codec reads the others too.
    """
    names = ["".join(c for c in name.upper() if c.isalnum()) for name in declared.split("~")]
    known = [_SPELLINGS[name] for name in names if name in _SPELLINGS]
    if not known:
        return None
    switching = [codec for codec in known if codec.startswith("iso2022")]
    return (switching or known)[0] or default


def decode(raw: bytes, declared: str, default: str) -> Decoded:
    """`raw` as text without NULs, by MSH-18 `declared`, else by the site's `default`. Never fails."""
    codec = codec_for(declared, default)
    if raw.isascii() and (codec is None or not codec.startswith("iso2022")):
        return Decoded(text=_strip(raw.decode("ascii")), codec=codec or "ascii", lied=codec is None)
    for attempt in _attempts(codec, default):
        try:
            text = raw.decode(attempt)
        except UnicodeDecodeError:
            continue
        return Decoded(text=_strip(text), codec=attempt, lied=attempt != codec)
    return Decoded(text=_strip(raw.decode("latin-1")), codec="latin-1", lied=codec != "iso8859-1")


def _attempts(codec: str | None, default: str) -> list[str]:
    if codec is None:
        return ["utf-8", default]
    return ["utf-8", codec, default] if codec.startswith(_SINGLE_BYTE) else [codec, "utf-8", default]


def _strip(text: str) -> str:
    return text.replace("\0", "") if "\0" in text else text
