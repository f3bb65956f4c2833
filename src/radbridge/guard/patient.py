"""Words of a draft that can't be said of this patient: of the other sex, or of another age."""

from __future__ import annotations

import re
from collections.abc import Iterator

from radbridge.draft import Flag, Severity
from radbridge.guard.style import load_style
from radbridge.text import read_words

_YEARS_OLD = re.compile(r"\b(\d{1,3})[\s-]{0,2}(?:years?|yrs?|y)[\s./-]{0,2}(?:old|o)\b", re.IGNORECASE)


def check_patient(draft: str, sex: str, age: int | None) -> Iterator[Flag]:
    """One flag for each word that contradicts `sex` (`M`, `F`, or the words) or `age` (years)."""
    style = load_style()
    words = dict.fromkeys(read_words(draft))
    of_the_other = {"m": style.female, "f": style.male}.get(sex[:1].lower(), frozenset())
    for word in words:
        if word in of_the_other:
            yield _flag(f"{word!r} in a patient of the other sex")
        elif age is not None and word in style.ages and not style.ages[word][0] <= age <= style.ages[word][1]:
            yield _flag(f"{word!r} at the age of {age}")
    stated = {int(years) for years in _YEARS_OLD.findall(draft)}
    for years in sorted(stated):
        if age is not None and abs(years - age) > 1:
            yield _flag(f"the draft says {years} years old, the case {age}")


def _flag(message: str) -> Flag:
    return Flag(kind="sex_or_age", message=message, severity=Severity.CRITICAL)
