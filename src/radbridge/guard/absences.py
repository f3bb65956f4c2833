"""Findings that are named by what is missing: `no flow`, `absent gallbladder`."""

from __future__ import annotations

from collections.abc import Iterator

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import Entity, EntityText, Statement
from radbridge.guard.sites import is_compatible
from radbridge.guard.sources import Sources, flag
from radbridge.guard.style import load_style
from radbridge.text import FUNCTION_WORDS, read_words, stem

_ABSENCES = frozenset(("no", "absent", "absence", "lack"))
_MANNERS = frozenset(("detectable", "demonstrable", "appreciable", "color", "colour", "doppler"))
"""How something is looked for; what is missing is the rest."""


def is_absence(said: str) -> bool:
    """Whether the words of a finding say that something is missing."""
    return said.split(maxsplit=1)[0].lower() in _ABSENCES


def check_absences(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each thing that is missing in the draft, and there in the findings."""
    for entity in draft.entities:
        said = draft.text[entity.start : entity.end]
        if not entity.present or not is_absence(said) or sources.supporting(entity.concept):
            continue
        if tells_absence(entity, said, sources) is False:
            message = f"the draft says {said!r}, the findings tell of it"
            yield flag(FlagKind.NEGATION, Severity.CRITICAL, message, [(entity.start, entity.end)])


def tells_absence(entity: Entity, said: str, sources: Sources) -> bool | None:
    """Whether the findings say that it is missing (True), or that it is there (False); None where they say neither."""
    known = load_style().synonyms
    words = (w for w in read_words(said) if w not in FUNCTION_WORDS | _ABSENCES | _MANNERS)
    missing = [frozenset((root,)) | known.get(root, frozenset()) for root in map(stem, words)]
    beside = [s for s in sources.findings.statements if missing and _speaks_of(s, missing)]
    there = [s for s in beside if is_compatible(entity.place, s.told.place)]
    if any(not all(_affirmed(s) & roots for roots in missing) for s in there):
        return True
    return False if there else None


def _speaks_of(statement: Statement, missing: list[frozenset[str]]) -> bool:
    stems = statement.label_stems.union(statement.phrasing.stems)
    return all(stems & roots for roots in missing)


def _affirmed(statement: Statement) -> frozenset[str]:
    return statement.label_stems | statement.phrasing.affirmed_stems
