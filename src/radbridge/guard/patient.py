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


def check_sex(draft: EntityText, lexicon: Lexicon, sex: str) -> Iterator[Flag]:
    """One flag for each term that contradicts `sex` (`M`, `F`, or the words)."""
    others = lexicon.sex.get(_OTHER.get(sex[:1].lower(), ""))
    for at, _ in _find(draft, others) if others else ():
        yield _flag(f"{draft.text[slice(*at)]!r} in a patient of the other sex", at)


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
