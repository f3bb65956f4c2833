"""SMART scopes: who may do what with which type. App Launch 2.2, "Scopes for requesting FHIR resources".

`system/DiagnosticReport.rs` (version 2, verbs of `cruds`), `system/*.read` (version 1), and FHIRcast's
`fhircast/DiagnosticReport-update.write`. A scope that narrows by a query (`.rs?category=…`) can't be held to and is
never granted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

SYSTEM, FHIRCAST = "system", "fhircast"
_FHIR = re.compile(r"system/(?P<name>\*|[A-Z][A-Za-z]{1,63})\.(?P<verbs>read|write|\*|(?=.)c?r?u?d?s?)")
_CAST = re.compile(r"(?i:fhircast)/(?P<name>[A-Za-z*.-]{1,128})\.(?P<verbs>read|write|\*)")
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_CAST_VERBS = {"read": "r", "write": "w", "*": "rw"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """One scope, read."""

    kind: str
    """`system` or `fhircast`."""
    name: str
    """A resource type or an event in lower case; `*` stands for any part of it."""
    verbs: frozenset[str]
    """Of `cruds`; of `rw` for FHIRcast."""
    text: str
    """As it was written."""

    def covers(self, kind: str, name: str, verb: str) -> bool:
        """Whether this scope lets somebody do `verb`."""
        return self.kind == kind and verb in self.verbs and fnmatchcase(name, self.name)


def parse_scope(text: str) -> Scope | None:
    """The scope, or None for one that means nothing here (`openid`, `patient/…`, one with a query)."""
    if match := _FHIR.fullmatch(text):
        verbs = _VERSION_1.get(match["verbs"], match["verbs"])
        return Scope(kind=SYSTEM, name=match["name"], verbs=frozenset(verbs), text=text)
    if match := _CAST.fullmatch(text):
        verbs = _CAST_VERBS[match["verbs"]]
        return Scope(kind=FHIRCAST, name=match["name"].lower(), verbs=frozenset(verbs), text=text)
    return None


def parse_scopes(texts: Iterable[str]) -> tuple[Scope, ...]:
    """Those that mean something here."""
    return tuple(scope for text in texts if (scope := parse_scope(text)) is not None)


def narrow(asked: Iterable[str], granted: Sequence[Scope]) -> tuple[Scope, ...]:
    """What of `asked` lies within `granted`, each scope once.

    `system/*.rs` within `system/Patient.cruds` leaves `system/Patient.rs`.
    """
    met = (_meet(scope, limit) for scope in parse_scopes(asked) for limit in granted)
    return tuple({scope.text: scope for scope in met if scope is not None}.values())


def _meet(asked: Scope, limit: Scope) -> Scope | None:
    verbs = asked.verbs & limit.verbs
    name = _narrower(asked.name, limit.name)
    if asked.kind != limit.kind or not verbs or name is None:
        return None
    if (name, verbs) == (asked.name, asked.verbs):
        return asked
    written = "".join(v for v in "cruds" if v in verbs)
    if asked.kind == FHIRCAST:
        written = next(word for word, letters in _CAST_VERBS.items() if frozenset(letters) == verbs)
    return replace(asked, name=name, verbs=verbs, text=f"{asked.kind}/{name}.{written}")


def _narrower(one: str, other: str) -> str | None:
    if fnmatchcase(one, other):
        return one
    return other if fnmatchcase(other, one) else None
