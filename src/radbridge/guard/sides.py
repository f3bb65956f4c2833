"""Laterality of what the lexicon doesn't name: a side must be the side that the sources give to the same words."""

from __future__ import annotations

from collections.abc import Iterator

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import SIDES, Entity, EntityText, Statement
from radbridge.guard.sites import is_there
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
_NORMAL = frozenset("normal unremarkable clear intact patent preserved maintained symmetric".split())
_SHIFT = "shift"
"""In the name of a finding: its side is where to, and not where."""


def check_sides(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each sided thing whose side the sources give otherwise or not at all."""
    sided = {at: e for e in draft.entities for at in e.sided_at}
    known = {at for at, e in sided.items() if _has_sides(e, sources)}
    for statement in draft.statements:
        words, places = statement.phrasing.words, statement.phrasing.places
        for at, word in enumerate(words):
            if word not in SIDES or places[at] in known or not _STUDY.isdisjoint(words[max(0, at - 3) : at]):
                continue
            if not SIDES[word] <= _find_sides(_read_context(words, at), sided.get(places[at]), sources):
                quote = " ".join(words[max(0, at - 3) : at + 6])
                message = f"the findings don't say {word!r} of this: {quote}"
                yield flag(FlagKind.LATERALITY, Severity.CRITICAL, message, [places[at]])


def _find_sides(context: frozenset[str], entity: Entity | None, sources: Sources) -> frozenset[str]:
    """The sides of the statements that share most with `context`; where none shares half of it, the likely ones."""
    alike = sources.likeness.find(context, lambda s: s.told.place.sides)
    is_shift = entity is not None and _SHIFT in entity.concept.name
    shared = frozenset[str]().union(*(s.told.place.sides if is_shift else _drop_shifts(s) for s in alike))
    return shared or (entity and _find_likely_sides(entity, sources)) or sources.sides


def _find_likely_sides(entity: Entity, sources: Sources) -> frozenset[str]:
    """Where something is wrong near the site of what the draft concludes, or anywhere where it names no site."""
    if not entity.present or sources.supporting(entity.concept):
        return frozenset()
    statements = sources.findings.statements
    if entity.place.sites:
        statements = tuple(s for s in statements if is_there(entity.place, s.told.place))
    return frozenset[str]().union(*map(_find_wrong_sides, statements))


def _drop_shifts(statement: Statement) -> frozenset[str]:
    """The sides that a statement names, without those that something is pushed to."""
    sides = statement.told.place.sides
    if len(sides) > 1 and any(_SHIFT in e.concept.name for e in statement.told.entities):
        return _find_wrong_sides(statement) or sides
    return sides


def _find_wrong_sides(statement: Statement) -> frozenset[str]:
    """The sides on which a statement finds something; where a thing is pushed to is none."""
    found = [e for e in statement.told.entities if e.present and _SHIFT not in e.concept.name]
    if sides := frozenset[str]().union(*(e.place.sides for e in found)):
        return sides
    is_normal = not found and (statement.told.entities or not _NORMAL.isdisjoint(statement.phrasing.words))
    return frozenset() if is_normal else statement.told.place.sides


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
