"""Laterality of what the lexicon doesn't name: a side must be the side that the sources give to the same words."""

from __future__ import annotations

from collections.abc import Iterator

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import SIDES, Entity, EntityText
from radbridge.guard.sources import Sources, flag
from radbridge.guard.style import load_style
from radbridge.text import FUNCTION_WORDS, stem

_CONTEXT = 4
"""How many content words say what a side is said of."""
_REACH = 12
_STUDY = frozenset(
    "ct mri mr ultrasound us xray ray radiograph radiographs views study exam examination mammogram".split()
)
"""`MRI of the left shoulder` names the study; the findings needn't repeat it."""


def check_sides(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each sided thing whose side the sources give otherwise or not at all."""
    known = {at for e in draft.entities for at in e.sided_at if _has_sides(e, sources)}
    for statement in draft.statements:
        words, places = statement.phrasing.words, statement.phrasing.places
        for at, word in enumerate(words):
            if word not in SIDES or places[at] in known or not _STUDY.isdisjoint(words[max(0, at - 3) : at]):
                continue
            if not SIDES[word] <= _find_sides(_read_context(words, at), sources):
                quote = " ".join(words[max(0, at - 3) : at + 6])
                message = f"the findings don't say {word!r} of this: {quote}"
                yield flag(FlagKind.LATERALITY, Severity.CRITICAL, message, [places[at]])


def _find_sides(context: frozenset[str], sources: Sources) -> frozenset[str]:
    """The sides of the statements that share most with `context`; every side told where none shares half of it."""
    alike = sources.likeness.find(context, lambda s: s.told.place.sides)
    return frozenset[str]().union(*(s.told.place.sides for s in alike)) or sources.sides


def _read_context(words: list[str], at: int) -> frozenset[str]:
    """What the side at word `at` is said of: the content words after it, else the ones before."""
    glue = load_style().glue
    found: list[str] = []
    for word in words[at + 1 : at + 1 + _REACH]:
        if len(found) == _CONTEXT or (word in SIDES and found):
            break
        if word not in FUNCTION_WORDS and (root := stem(word)) not in glue:
            found.append(root)
    before = (w for w in words[max(0, at - _CONTEXT) : at] if w not in FUNCTION_WORDS and w not in SIDES)
    return frozenset(found) or frozenset(map(stem, before))


def _has_sides(entity: Entity, sources: Sources) -> bool:
    """Whether the sources give sides to what they call by the same name, so that these are compared."""
    return any(m.entity.place.sides or m.entity.around.sides for m in sources.supporting(entity.concept))
