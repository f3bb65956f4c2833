"""How a statement is built: what a sentence must have in common with another one to be worded like it."""

from __future__ import annotations

import re
from enum import StrEnum


class Trait(StrEnum):
    """A way to say something that every radiologist has their own words for. A statement has one of the first three."""

    DENIAL = "denial"
    ADVICE = "advice"
    FINDING = "finding"
    CONSISTENT = "consistent"
    SUSPICIOUS = "suspicious"
    LIKELY = "likely"
    POSSIBLE = "possible"
    CHANGE = "change"
    REFERENCE = "reference"
    """Names the prior study."""
    TIMES = "times"
    """Two diameters."""
    LIST = "list"
    """Denies one thing or another."""


BUILDS = frozenset({Trait.DENIAL, Trait.ADVICE, Trait.FINDING})
_TRAITS = {
    Trait.DENIAL: r"^(?:there (?:is|are|was) )?(?:no|without|negative for)\b",
    Trait.ADVICE: (
        r"^(?:recommend|suggest|consider|correlate|correlation|findings were discussed|clinical correlation)\b"
        r"|\b(?:recommended|advised|could be considered|(?:is|are|evaluation .*) suggested)\b"
    ),
    Trait.CONSISTENT: r"\b(?:consistent|compatible) with\b",
    Trait.SUSPICIOUS: r"\b(?:suspicious|concerning) for\b",
    Trait.LIKELY: r"\b(?:likely|probably)\b",
    Trait.POSSIBLE: r"\b(?:possibl[ey]|may represent)\b",
    Trait.CHANGE: r"\b(?:unchanged|stable|not significantly changed)\b",
    Trait.REFERENCE: r"\b(?:prior|previous|before)\b",
    Trait.TIMES: r"\d (?:x|by) \d",
    Trait.LIST: r"^no [^.]*\bor\b",
}
_PATTERNS = {trait: re.compile(pattern, re.IGNORECASE) for trait, pattern in _TRAITS.items()}


def read_traits(statement: str) -> frozenset[Trait]:
    """The traits of one statement."""
    found = {trait for trait, pattern in _PATTERNS.items() if pattern.search(statement)}
    return frozenset(found if found & BUILDS else found | {Trait.FINDING})


def is_denial(statement: str) -> bool:
    """Whether a statement begins as one that denies."""
    return bool(_PATTERNS[Trait.DENIAL].search(statement))
