"""Words of a draft that can't be said of this patient: of the other sex, or of another age."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import EntityText, Lexicon
from radbridge.guard.sources import flag
from radbridge.text.phrases import PhraseTable

T = TypeVar("T")
_YEARS_OLD = re.compile(r"\b(\d{1,3})[\s-]{0,2}(?:years?|yrs?|y)[\s./-]{0,2}(?:old|o)\b", re.IGNORECASE)
_OTHER = {"m": "F", "f": "M"}
_PRONOUNS = frozenset("she her hers herself he his him himself".split())
_OTHERS = frozenset(
    """dr doctor doctors physician physicians nurse registrar resident surgeon clinician provider consultant
    radiologist np pa md discussed communicated informed notified told called spoke telephoned mother father parent
    parents wife husband daughter son sister brother baby fetus""".split()
)
"""Words for somebody beside the patient, of whom `she` may be said."""


def check_sex(draft: EntityText, lexicon: Lexicon, sex: str) -> Iterator[Flag]:
    """One flag for each term that contradicts `sex` (`M`, `F`, or the words)."""
    others = lexicon.sex.get(_OTHER.get(sex[:1].lower(), ""))
    for at, term in _find(draft, others) if others else ():
        if term and not (term in _PRONOUNS and at[0] > _find_stranger(draft)):
            yield _flag(f"{draft.text[slice(*at)]!r} in a patient of the other sex", at)


def _find_stranger(draft: EntityText) -> int:
    """Where somebody beside the patient is first named; the end of the text where nobody is."""
    words = (pair for s in draft.statements for pair in zip(s.phrasing.words, s.phrasing.places, strict=True))
    return next((start for word, (start, _) in words if word in _OTHERS), len(draft.text))


def check_age(draft: EntityText, lexicon: Lexicon, age: int) -> Iterator[Flag]:
    """One flag for each term that contradicts `age` (years)."""
    for at, (low, high) in _find(draft, lexicon.ages):
        if not low <= age <= high:
            yield _flag(f"{draft.text[slice(*at)]!r} at the age of {age}", at)
    for match in _YEARS_OLD.finditer(draft.text):
        if abs(int(match[1]) - age) > 1:
            yield _flag(f"the draft says {int(match[1])} years old, the case {age}", match.span())


def _find(draft: EntityText, table: PhraseTable[T]) -> Iterator[tuple[tuple[int, int], T]]:
    for statement in draft.statements:
        places = statement.phrasing.places
        for start, end, value in table.find(statement.phrasing.stems):
            yield (places[start][0], places[end - 1][1]), value


def _flag(message: str, at: tuple[int, int]) -> Flag:
    return flag(FlagKind.SEX_OR_AGE, Severity.CRITICAL, message, [at])
