"""ER7, the vertical-bar encoding, read lazily (HL7 2.5.1, chapter 2.5-2.7).

A message is split into segments and fields; components, repetitions and escapes are looked at only where someone asks.
That makes it some hundred times cheaper than a full parse, with which tests hold it in agreement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from radbridge.errors import MessageFault

NULL = '""'
"""An explicit null: "delete what you have" (2.5.1, 2.5.3.5)."""

_HEADERS = ("MSH", "BHS", "FHS")
_SEGMENT_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Delimiters:
    """The five characters that MSH-1 and MSH-2 declare."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


STANDARD = Delimiters()


@lru_cache(maxsize=64)
def read_delimiters(head: str) -> Delimiters:
    """The delimiters that the first characters of an MSH declare.

    Fewer than four encoding characters are allowed where the rest isn't used (2.5.1, 2.5.4); a fifth one (truncation,
    2.7) is passed over. Raises MessageFault when the declaration contradicts itself.
    """
    separator = head[3:4]
    declared = head[4:].split(separator, 1)[0][:4] if separator else ""
    standard = (STANDARD.component, STANDARD.repetition, STANDARD.escape, STANDARD.subcomponent)
    rest = tuple(declared) + standard[len(declared) :]
    if not declared or separator.isalnum() or separator.isspace() or separator in rest:
        raise MessageFault("no_msh", "MSH-1 and MSH-2 declare no usable delimiters", where="MSH-1")
    if len(set(declared)) != len(declared) or any(c.isalnum() or c.isspace() for c in declared):
        raise MessageFault("no_msh", "MSH-2 declares no usable encoding characters", where="MSH-2")
    return Delimiters(field=separator, component=rest[0], repetition=rest[1], escape=rest[2], subcomponent=rest[3])


class Segment:
    """One segment. Positions count as in the standard: field, component and subcomponent from 1."""

    __slots__ = ("_delimiters", "_line", "_split", "name")

    def __init__(self, line: str, delimiters: Delimiters) -> None:
        self._line = line
        self._delimiters = delimiters
        self._split: list[str] | None = None
        self.name = line[:3] if line[3:4] == delimiters.field else line.split(delimiters.field, 1)[0].strip()

    def __len__(self) -> int:
        """The number of the last field sent."""
        return len(self._fields()) - 1

    def raw(self, position: int) -> str:
        """A field as sent; empty when it wasn't."""
        fields = self._split or self._fields()
        return fields[position] if position < len(fields) else ""

    def reaches(self, position: int) -> bool:
        """Whether so many fields were sent, for less than it costs to read one."""
        return self._split is not None or self._line.count(self._delimiters.field) >= position

    def is_null(self, position: int) -> bool:
        """Whether the field is an explicit null."""
        return self.raw(position) == NULL

    def repeats(self, position: int) -> Sequence[Value]:
        """The repetitions of a field that have content; none for a null or an empty field."""
        raw = self.raw(position)
        if not raw or raw == NULL:
            return ()
        return tuple(
            Value(raw=part, delimiters=self._delimiters) for part in raw.split(self._delimiters.repetition) if part
        )

    def text(self, position: int, component: int = 1, subcomponent: int = 1) -> str:
        """The text of one part of the first repetition, unescaped; empty when absent or null."""
        return read_text(self.raw(position), self._delimiters, component, subcomponent)

    def whole(self, position: int) -> str:
        """A field of one plain value, such as a TX, unescaped and not split into components."""
        raw = self.raw(position)
        return "" if raw == NULL else unescape(raw, self._delimiters)

    def _fields(self) -> list[str]:
        if self._split is None:
            self._split = self._line.split(self._delimiters.field)
            if self.name in _HEADERS:
                self._split.insert(1, self._delimiters.field)
        return self._split


def read_text(raw: str, delimiters: Delimiters, component: int = 1, subcomponent: int = 1) -> str:
    """The text of one part of the first repetition of a field as sent, unescaped; empty when absent or null."""
    if not raw or raw.isalnum():  # most fields, on the hot path
        return raw if component == subcomponent == 1 else ""
    first = raw.split(delimiters.repetition, 1)[0]
    return Value(raw=first, delimiters=delimiters).text(component, subcomponent)


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One repetition of a field."""

    raw: str = field(repr=False)
    delimiters: Delimiters

    def components(self) -> list[str]:
        """All components, unescaped; one that has subcomponents gives its first."""
        return [self._first(part) for part in self.raw.split(self.delimiters.component)]

    def subcomponents(self, component: int) -> list[str]:
        """All subcomponents of one component, unescaped."""
        return [self._clean(part) for part in self._component(component).split(self.delimiters.subcomponent)]

    def text(self, component: int = 1, subcomponent: int = 1) -> str:
        """One part, unescaped; empty when absent or null."""
        parts = self._component(component).split(self.delimiters.subcomponent)
        return self._clean(parts[subcomponent - 1]) if subcomponent <= len(parts) else ""

    def whole(self) -> str:
        """The repetition as one plain value, unescaped and not split further."""
        return self._clean(self.raw)

    def _component(self, component: int) -> str:
        parts = self.raw.split(self.delimiters.component)
        return parts[component - 1] if component <= len(parts) else ""

    def _first(self, part: str) -> str:
        return self._clean(part.split(self.delimiters.subcomponent, 1)[0])

    def _clean(self, part: str) -> str:
        return "" if part == NULL else unescape(part, self.delimiters)


class Message:
    """A message: its delimiters and its segments in order."""

    __slots__ = ("delimiters", "segments")

    def __init__(self, text: str) -> None:
        """Raises MessageFault `no_msh` when the text doesn't begin with a usable MSH."""
        text = text.lstrip("\ufeff\r\n\t ")
        if not text.startswith("MSH"):
            raise MessageFault("no_msh", "The message does not begin with an MSH segment", where="MSH")
        self.delimiters = read_delimiters(text[:9])
        self.segments = [Segment(line, self.delimiters) for line in _lines(text) if line.strip()]

    @property
    def msh(self) -> Segment:
        """The header."""
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        """The first segment of that name."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Segment]:
        """Every segment of that name, in order."""
        return (segment for segment in self.segments if segment.name == name)


def _lines(text: str) -> list[str]:
    return _SEGMENT_END.split(text) if "\n" in text else text.split("\r")


_PRINTED = {"br": "\n", "ce": "\n", "fi": "", "nf": "", "in": "", "ti": ""}
"""Formatting commands of FT (2.5.1, 2.7.6): what they leave in plain text."""


def unescape(value: str, delimiters: Delimiters = STANDARD) -> str:
    """`value` with its escape sequences as text; an unknown sequence and a lone escape character stay as they are."""
    if delimiters.escape not in value:
        return value
    meanings = {
        "F": delimiters.field,
        "S": delimiters.component,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "T": delimiters.subcomponent,
        "H": "",
        "N": "",
    }

    def mean(match: re.Match[str]) -> str:
        code = match[1]
        plain = meanings.get(code)
        if plain is None:
            plain = _formatted(code[1:]) if code.startswith(".") else _from_hex(code)
        return match[0] if plain is None else plain

    return _escape_pattern(delimiters.escape).sub(mean, value)


@lru_cache(maxsize=64)
def _escape_pattern(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    return re.compile(f"{mark}([A-Z]|X(?:[0-9A-Fa-f]{{2}})+|\\.[A-Za-z]{{2}} ?[+-]?\\d{{0,3}}){mark}")


def _formatted(command: str) -> str | None:
    name, count = command[:2].lower(), command[2:].strip(" +")
    if name == "sp":
        return "\n" * _count(count)
    if name == "sk":
        return " " * _count(count)
    return _PRINTED.get(name)


def _count(digits: str) -> int:
    return min(int(digits), 100) if digits.isdigit() else 1


def _from_hex(code: str) -> str | None:
    if not code.startswith("X"):
        return None
    data = bytes.fromhex(code[1:])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\"})
_CONTROLS = str.maketrans(dict.fromkeys((*range(1, 32), 127), " ") | {0: ""})


def clean(text: str) -> str:
    """`text` without what would end a segment or a block: control characters become blanks."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def escape(text: str) -> str:
    """`text` for a field in standard delimiters, on one line. The inverse of `unescape` but for control characters."""
    return clean(text).translate(_ESCAPES)
