"""A search as a value: parsed from parameters, held to the tables of `params`, without any database."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from radbridge.journal.types import MAX_KEY_BYTES, is_too_long
from radbridge_adapters.fhir.search.dates import read_range
from radbridge_adapters.fhir.search.params import PARAMS, Kind, Param, params_of
from radbridge_adapters.fhir.types import TYPES
from radbridge_adapters.resources.outcome import Issues, refuse

MAX_COUNT = 500
MAX_TERMS = 64
MAX_VALUES = 100
"""Alternatives of one parameter."""
MAX_ALL_VALUES = 1000
"""Of all parameters together: each is one or more values of a statement, and a database takes so many."""
SORTABLE = frozenset({"_id", "_lastUpdated"})
"""Beside every parameter that is a date."""

_PREFIXED = re.compile(r"(?P<prefix>eq|ne|gt|lt|ge|le|sa|eb)?(?P<date>\d{4}.*)", re.DOTALL)
_CHAINED = frozenset({"patient.identifier", "subject.identifier", "based-on.identifier"})
_COMMA = re.compile(r"(?<!\\),")
_BAR = re.compile(r"(?<!\\)\|")
_IGNORED = frozenset({"_format", "_pretty"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One alternative of a parameter."""

    text: str = field(repr=False)
    """A code, a string, `Patient/12`, a URL."""
    system: str | None = None
    """Of a token; None: any, empty: none."""
    prefix: str = "eq"
    low: datetime | None = None
    high: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One parameter: a resource fits when one of its values does."""

    name: str
    param: Param
    modifier: str = ""
    """`missing`, `not`, `exact`, `contains`, `identifier`, or a type (`subject:Patient`)."""
    chained: bool = False
    """Whether the values are identifiers of what the reference points at."""
    values: tuple[Value, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Include:
    """What shall come along with the matches."""

    source: str
    """The type that has the reference."""
    param: str
    """Its parameter, or `*`."""
    target: str = ""
    iterate: bool = False
    reverse: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchQuery:
    """A whole search of one type."""

    type: str
    terms: tuple[Term, ...] = ()
    """All of them have to fit."""
    sort: tuple[str, bool] = ("", False)
    """The parameter, and whether it is sorted downwards; without one: as the resources were made."""
    count: int | None = None
    """Per page; 0: only the total."""
    includes: tuple[Include, ...] = ()
    elements: tuple[str, ...] = ()
    total: bool = True
    applied: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The parameters that were understood: what the self link says (R4 search.html#3.1.1.3)."""


def parse(resource_type: str, pairs: Sequence[tuple[str, str]], *, base: str = "", strict: bool = False) -> SearchQuery:
    """The search that the parameters ask for.

    `base` is what this server is called: a reference below it is one to our own. Parameters that aren't known are left
    out, or with `strict` an error. Raises Issues for values that can't be read and for modifiers that aren't supported.
    """
    reader = _Reader(resource_type, base)
    applied: list[tuple[str, str]] = []
    for name, value in pairs:
        if not value or name in _IGNORED:
            continue
        if reader.read(name, value):
            applied.append((name, value))
        elif strict:
            raise refuse("not-supported", f"a search parameter that {resource_type} doesn't have here")
    if len(reader.terms) > MAX_TERMS:
        raise refuse("too-costly", f"more than {MAX_TERMS} parameters")
    if sum(len(term.values) for term in reader.terms) > MAX_ALL_VALUES:
        raise refuse("too-costly", f"more than {MAX_ALL_VALUES} values")
    return SearchQuery(
        type=resource_type,
        terms=tuple(reader.terms),
        sort=reader.sort,
        count=reader.count,
        includes=tuple(reader.includes),
        elements=reader.elements,
        total=reader.total,
        applied=tuple(applied),
    )


class _Reader:
    """Reads one parameter after the other."""

    def __init__(self, resource_type: str, base: str) -> None:
        self.terms: list[Term] = []
        self.includes: list[Include] = []
        self.sort: tuple[str, bool] = ("", False)
        self.count: int | None = None
        self.elements: tuple[str, ...] = ()
        self.total = True
        self._base = f"{base}/" if base else ""
        self._params = params_of(resource_type)
        self._controls = {
            "_count": self._read_count,
            "_sort": self._read_sort,
            "_summary": self._read_summary,
            "_elements": self._read_elements,
            "_total": self._read_total,
        }

    def read(self, name: str, value: str) -> bool:
        """Whether the parameter is known. Raises Issues for a value that can't be read."""
        base, _, modifier = name.partition(":")
        if name in self._controls:
            return self._controls[name](value)
        if base in ("_include", "_revinclude"):
            self.includes.append(_read_include(value, iterate=modifier == "iterate", reverse=base == "_revinclude"))
            return True
        chained = base in _CHAINED
        param = self._params.get(base.split(".")[0] if chained else base)
        if param is None:
            return False
        self.terms.append(_read_term(base, param, modifier, value.replace(self._base, ""), chained=chained))
        return True

    def _read_count(self, value: str) -> bool:
        if not (value.isascii() and value.isdigit()):
            raise refuse("value", "_count is a whole number")
        self.count = min(int(value[:6]), MAX_COUNT)
        return True

    def _read_sort(self, value: str) -> bool:
        name, descending = value.removeprefix("-"), value.startswith("-")
        param = self._params.get(name)
        if param is None or (name not in SORTABLE and param.kind is not Kind.DATE):
            raise refuse("not-supported", "_sort takes one of the type's dates, _lastUpdated or _id")
        self.sort = (name, descending)
        return True

    def _read_summary(self, value: str) -> bool:
        if value == "count":
            self.count = 0
        elif value != "false":
            raise refuse("not-supported", "_summary takes only count and false")
        return True

    def _read_elements(self, value: str) -> bool:
        self.elements = tuple(name.strip() for name in value.split(",") if name.strip())
        return True

    def _read_total(self, value: str) -> bool:
        if value not in ("none", "estimate", "accurate"):
            raise refuse("value", "_total is none, estimate or accurate")
        self.total = value != "none"
        return True


_MODIFIERS: Mapping[Kind, frozenset[str]] = {
    Kind.TOKEN: frozenset({"not"}),
    Kind.STRING: frozenset({"exact", "contains"}),
    Kind.REFERENCE: frozenset({"identifier"}) | TYPES.keys(),
    Kind.DATE: frozenset(),
    Kind.URI: frozenset(),
}
"""Beside `missing`, which all have."""


def _read_term(name: str, param: Param, modifier: str, value: str, *, chained: bool) -> Term:
    if modifier == "missing":
        if value not in ("true", "false") or chained:
            raise refuse("value", ":missing is true or false")
        return Term(name=name, param=param, modifier=modifier, values=(Value(text=value),))
    if modifier and (chained or modifier not in _MODIFIERS[param.kind]):
        raise refuse("not-supported", f"the modifier isn't supported for {name}")
    parts = _COMMA.split(value)
    if len(parts) > MAX_VALUES:
        raise refuse("too-costly", f"more than {MAX_VALUES} values of one parameter")
    if any(map(is_too_long, parts)):
        raise refuse("too-long", f"a value of {name} has more than {MAX_KEY_BYTES} bytes: nothing is found by it")
    as_token = chained or modifier == "identifier" or param.kind is Kind.TOKEN
    if as_token:
        values = [_read_token(part) for part in parts]
    elif param.kind is Kind.DATE:
        values = [_read_date(name, part) for part in parts]
    elif param.kind is Kind.REFERENCE:
        values = [_read_reference(part, param.target or modifier) for part in parts]
    else:
        values = [Value(text=_unescape(part)) for part in parts]
    return Term(name=name, param=param, modifier=modifier, chained=chained, values=tuple(values))


def _read_token(text: str) -> Value:
    parts = _BAR.split(text, maxsplit=1)
    if len(parts) == 1:
        return Value(text=_unescape(text))
    return Value(text=_unescape(parts[1]), system=_unescape(parts[0]))


def _read_reference(text: str, target: str) -> Value:
    plain = _unescape(text)
    return Value(text=f"{target}/{plain}" if target and "/" not in plain else plain)


def _read_date(name: str, text: str) -> Value:
    match = _PREFIXED.fullmatch(text)
    found = read_range(match["date"].replace(" ", "+")) if match else None
    if match is None or found is None:
        raise refuse("value", f"{name} takes a date, such as ge2026-11-21")
    return Value(text=text, prefix=match["prefix"] or "eq", low=found[0], high=found[1])


def _read_include(value: str, *, iterate: bool, reverse: bool) -> Include:
    source, _, rest = value.partition(":")
    param, _, target = rest.partition(":")
    known = PARAMS.get(source, {})
    wanted = known.get(param)
    if param != "*" and (wanted is None or wanted.kind is not Kind.REFERENCE):
        raise _no_include()
    if source not in TYPES or (target and target not in TYPES):
        raise _no_include()
    return Include(source=source, param=param, target=target, iterate=iterate, reverse=reverse)


def _no_include() -> Issues:
    return refuse("not-supported", "_include and _revinclude take Type:reference, such as DiagnosticReport:result")


def _unescape(text: str) -> str:
    return re.sub(r"\\([,|$\\])", r"\1", text)
