"""What a resource is found by: a row for each value of each search parameter."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from radbridge.journal.types import MAX_KEY_BYTES, is_too_long
from radbridge_adapters.fhir.search.dates import FIRST, LAST, read_range
from radbridge_adapters.fhir.search.params import COLUMNS, Kind, params_of
from radbridge_adapters.resources.references import parse_reference

INLINE = ":identifier"
"""After a reference's name: the rows of identifiers that stand in the Reference itself."""
_LONGEST = 512
"""Characters of a string that are compared, where they fit into a key."""

Reader = Callable[[str, Any, str], Iterator["IndexRow"]]


class IndexRow(NamedTuple):
    """One value that a resource is found by. There are ten of a report, so they are made as cheaply as can be."""

    param: str
    system: str = ""
    """Of a token; of a string, the text as it was written."""
    value: str = ""
    low: datetime | None = None
    high: datetime | None = None
    """The first moment after the range."""

    def __repr__(self) -> str:
        return f"IndexRow(param={self.param!r})"  # the values may be a patient's


def rows_of(document: Mapping[str, Any], base: str) -> tuple[IndexRow, ...]:
    """The rows of a resource. `base` is what this server is called: a reference below it is one to our own."""
    rows: dict[IndexRow, None] = {}
    for top, rest, name, read in _plan(str(document["resourceType"])):
        if top in document:
            for value in _values_of(document[top], rest):
                rows.update(dict.fromkeys(read(name, value, base)))
    return tuple(rows)


def fold(text: str) -> str:
    """A text without case, accents and doubled blanks (R4 search.html#string)."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return _cut(" ".join(plain.casefold().split()))


def _cut(text: str) -> str:
    short = text[:_LONGEST]
    return short.encode(errors="replace")[:MAX_KEY_BYTES].decode(errors="ignore") if is_too_long(short) else short


def local_reference(text: str, base: str) -> str:
    """`Patient/12` for one of our own, however it is written; else the text as it stands."""
    literal = parse_reference(text)
    if literal is None or (literal.base and literal.base.rstrip("/") != base):
        return text
    return literal.key


@cache
def _plan(resource_type: str) -> Sequence[tuple[str, tuple[str, ...], str, Reader]]:
    """For each path: its first element, the ones below, the name of its rows, and who reads a value."""
    return [
        (path.split(".")[0], tuple(path.split(".")[1:]), param.stored_as, _READERS[param.kind])
        for name, param in params_of(resource_type).items()
        if name not in COLUMNS and (name == param.stored_as or not param.target)  # else the rows of another one
        for path in param.paths
    ]


def _values_of(value: Any, path: tuple[str, ...]) -> list[Any]:
    found = _as_list(value)
    for name in path:
        found = [one for item in found if isinstance(item, dict) for one in _as_list(item.get(name))]
    return found


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _tokens(param: str, value: Any, base: str) -> Iterator[IndexRow]:
    match value:
        case bool():
            yield IndexRow(param=param, value=str(value).lower())
        case str():
            yield IndexRow(param=param, value=value)
        case {"coding": list(codings)}:
            for coding in codings:
                yield from _tokens(param, coding, base)
        case {"code": str(code), **rest}:
            yield IndexRow(param=param, system=str(rest.get("system", "")), value=code)
        case {"value": str(text), **rest}:
            yield IndexRow(param=param, system=str(rest.get("system", "")), value=text)


def _references(param: str, value: Any, base: str) -> Iterator[IndexRow]:
    if not isinstance(value, dict):
        return
    if isinstance(text := value.get("reference"), str) and not text.startswith("#"):
        yield IndexRow(param=param, value=local_reference(text, base))
    yield from _tokens(param + INLINE, value.get("identifier"), base)


def _dates(param: str, value: Any, base: str) -> Iterator[IndexRow]:
    if isinstance(value, str):
        found = read_range(value)
        if found is not None:
            yield IndexRow(param=param, low=found[0], high=found[1])
    elif isinstance(value, dict) and ("start" in value or "end" in value):
        start, end = (read_range(str(value.get(name, ""))) for name in ("start", "end"))
        yield IndexRow(param=param, low=start[0] if start else FIRST, high=end[1] if end else LAST)


def _strings(param: str, value: Any, base: str) -> Iterator[IndexRow]:
    if isinstance(value, str):
        yield IndexRow(param=param, system=_cut(value), value=fold(value))
    elif isinstance(value, dict):  # a HumanName: any of its parts
        for name in ("text", "family", "given", "prefix", "suffix"):
            for part in _as_list(value.get(name)):
                yield from _strings(param, part, base) if isinstance(part, str) else ()


def _uris(param: str, value: Any, base: str) -> Iterator[IndexRow]:
    if isinstance(value, str):
        yield IndexRow(param=param, value=_cut(value))


_READERS: Mapping[Kind, Reader] = {
    Kind.TOKEN: _tokens,
    Kind.REFERENCE: _references,
    Kind.DATE: _dates,
    Kind.STRING: _strings,
    Kind.URI: _uris,
}
