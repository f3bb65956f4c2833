"""Character sets: SpecificCharacterSet (0008,0005) to text (PS3.3 C.12.1.1.2, PS3.5 6.1).

What it says is believed when the bytes agree. Bytes that are no ASCII yet valid UTF-8 are UTF-8 even where nothing or a
single-byte set was declared, as the HL7 wire reads them. What fits neither is tried in the site's default and then
read as Latin-1, which can't fail. Nothing here raises or warns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

SINGLE_BYTE = {
    "6": "ascii",
    "13": "shift_jis",  # holds JIS X 0201 at the same places
    "100": "iso8859-1",
    "101": "iso8859-2",
    "109": "iso8859-3",
    "110": "iso8859-4",
    "126": "iso8859-7",
    "127": "iso8859-6",
    "138": "iso8859-8",
    "144": "iso8859-5",
    "148": "iso8859-9",
    "166": "tis-620",
    "203": "iso8859-15",
}
"""ISO-IR number (tables C.12-2 and C.12-3) -> Python's codec."""

WHOLE = {"ISOIR192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}
"""Multi-byte sets without code extensions (table C.12-5) -> Python's codec."""

_SPELLINGS = WHOLE | {
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "ISO2022GBK": "gbk",
    "ASCII": "ascii",
    "LATIN1": "iso8859-1",
    "ISO88591": "iso8859-1",
    "SHIFTJIS": "shift_jis",
    "EUCKR": "euc_kr",
    "EUCJP": "euc_jp",
    "BIG5": "big5hkscs",
}
"""Names without punctuation, and what senders write in their place."""

_NUMBER = re.compile(r"(?:ISO)?(?:2022)?IR(\d{1,3})")


@dataclass(frozen=True, slots=True)
class _Set:
    """A coded character set that an escape designates: to the lower half (G0) or the upper one (G1) of the byte."""

    is_upper: bool
    decode: Callable[[bytes], str]


def _by(codec: str, prefix: bytes = b"") -> Callable[[bytes], str]:
    return lambda run: (prefix + run).decode(codec)


_ESCAPES = {
    b"(B": _Set(False, _by("ascii")),
    b"(J": _Set(False, _by("ascii")),  # JIS X 0201 Romaji; its yen sign stands where the backslash does
    b")I": _Set(True, _by("shift_jis")),
    b"$B": _Set(False, _by("iso2022_jp", b"\x1b$B")),
    b"$@": _Set(False, _by("iso2022_jp", b"\x1b$@")),
    b"$(D": _Set(False, _by("iso2022_jp_2", b"\x1b$(D")),
    b"$)C": _Set(True, _by("euc_kr")),
    b"$)A": _Set(True, _by("gb2312")),
    b"-A": _Set(True, _by("iso8859-1")),
    b"-B": _Set(True, _by("iso8859-2")),
    b"-C": _Set(True, _by("iso8859-3")),
    b"-D": _Set(True, _by("iso8859-4")),
    b"-F": _Set(True, _by("iso8859-7")),
    b"-G": _Set(True, _by("iso8859-6")),
    b"-H": _Set(True, _by("iso8859-8")),
    b"-L": _Set(True, _by("iso8859-5")),
    b"-M": _Set(True, _by("iso8859-9")),
    b"-T": _Set(True, _by("tis-620")),
    b"-b": _Set(True, _by("iso8859-15")),
}
"""Escape sequences of ISO 2022 (tables C.12-3 and C.12-4), without the ESC itself."""

_ESCAPE = re.compile(b"\x1b(%s)" % b"|".join(re.escape(e) for e in sorted(_ESCAPES, key=len, reverse=True)))
_RESET = re.compile(b"[\\t\\n\\f\\r]")
"""Both halves are the first set's again after these (PS3.5 6.1.2.5.3)."""
_HALVES = re.compile(b"[\x00-\x7f]+|[\x80-\xff]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Attempt:
    """One way to read a text."""

    decode: Callable[[bytes], str]
    is_declared: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Charset:
    """How the text of a data set is read: its SpecificCharacterSet, and what to try when that is wrong."""

    terms: tuple[str, ...] = ()
    default: str = "utf-8"
    lies: list[str] = field(default_factory=list, compare=False, repr=False)
    """The declared sets that some text didn't fit; shared with the charsets of nested items."""

    def within(self, terms: tuple[str, ...]) -> Charset:
        """For an item of a sequence: its own declaration, else this one."""
        return Charset(terms=terms, default=self.default, lies=self.lies) if terms else self

    def decode(self, value: bytes) -> str:
        """Text of a value, by what was declared where it fits."""
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii")
        for attempt in self._attempts(has_escapes=b"\x1b" in value):
            try:
                text = attempt.decode(value)
            except (UnicodeDecodeError, LookupError):
                continue
            if not attempt.is_declared:
                self.lies.append("\\".join(self.terms))
            return text
        self.lies.append("\\".join(self.terms))
        return value.decode("latin-1")

    def _attempts(self, *, has_escapes: bool) -> Iterator[_Attempt]:
        """What to try, best first."""
        codecs = [find_codec(term) for term in self.terms]
        first = (codecs[0] if codecs else "ascii") or ""
        is_known = bool(codecs) and all(codecs)
        if has_escapes or len(codecs) > 1:
            yield _Attempt(decode=lambda value: _decode_2022(value, first or "ascii"), is_declared=is_known)
        if first in WHOLE.values():
            yield _Attempt(decode=_by(first), is_declared=is_known)
        yield _Attempt(decode=_by("utf-8"), is_declared=False)
        if first not in ("", "ascii"):
            yield _Attempt(decode=_by(first), is_declared=is_known)
        yield _Attempt(decode=_by(self.default), is_declared=False)


@lru_cache(maxsize=256)
def find_codec(term: str) -> str | None:
    """Python's codec for one value of SpecificCharacterSet; None when unknown.

    Of a multi-byte set with code extensions the codec is that of its first half, ASCII: the escapes say the rest.
    """
    name = "".join(c for c in term.upper() if c.isalnum())
    if not name:
        return "ascii"
    if name in _SPELLINGS:
        return _SPELLINGS[name]
    match = _NUMBER.fullmatch(name)
    if match is None:
        return None
    return "ascii" if match[1] in ("87", "159", "149", "58") else SINGLE_BYTE.get(match[1])


def _decode_2022(value: bytes, first: str) -> str:
    """Text with code extensions. Raises UnicodeDecodeError for bytes that don't fit."""
    return "".join(_decode_line(line, first) for line in _split_keeping(_RESET, value))


def _decode_line(line: bytes, first: str) -> str:
    lower, upper = _ESCAPES[b"(B"], _Set(True, _by(first))
    parts: list[str] = []
    at = 0
    for escape in _ESCAPE.finditer(line):
        parts.append(_decode_run(line[at : escape.start()], lower, upper))
        designated = _ESCAPES[escape[1]]
        lower, upper = (lower, designated) if designated.is_upper else (designated, upper)
        at = escape.end()
    parts.append(_decode_run(line[at:], lower, upper))
    return "".join(parts)


def _decode_run(run: bytes, lower: _Set, upper: _Set) -> str:
    halves = _HALVES.findall(run)
    return "".join((upper if half[0] & 0x80 else lower).decode(half) for half in halves)


def _split_keeping(pattern: re.Pattern[bytes], value: bytes) -> Iterator[bytes]:
    """Lines, each with what ends it."""
    at = 0
    for found in pattern.finditer(value):
        yield value[at : found.end()]
        at = found.end()
    yield value[at:]
