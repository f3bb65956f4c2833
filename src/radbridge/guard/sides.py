"""Laterality of what the lexicon doesn't name: a side must be the side that the sources give to the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

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


class _Told:
    """The statements of the sources that name a side, found by their words."""

    def __init__(self, sources: Sources) -> None:
        told = (s for t in sources.texts.values() for s in t.statements)
        sided = [(s, sides) for s in told if (sides := s.told.place.sides)]
        self._sides = [sides for _, sides in sided]
        self._anywhere = _join(self._sides)
        self._by_stem: dict[str, list[int]] = {}
        for at, (statement, _) in enumerate(sided):
            for root in {*statement.phrasing.stems, *statement.label_stems}:
                self._by_stem.setdefault(root, []).append(at)

    def find_sides(self, context: frozenset[str]) -> frozenset[str]:
        """The sides of the statements that share most with `context`; every side told where none shares half of it."""
        shared = Counter(at for root in context for at in self._by_stem.get(root, ()))
        most = max(shared.values(), default=0)
        if not most or 2 * most < len(context):
            return self._anywhere
        return _join(self._sides[at] for at, count in shared.items() if count == most)


def check_sides(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each sided thing whose side the sources give otherwise or not at all."""
    told = _Told(sources)
    known = {at for e in draft.entities for at in e.sided_at if _has_sides(e, sources)}
    for statement in draft.statements:
        words, places = statement.phrasing.words, statement.phrasing.places
        for at, word in enumerate(words):
            if word not in SIDES or places[at] in known or not _STUDY.isdisjoint(words[max(0, at - 3) : at]):
                continue
            if not SIDES[word] <= told.find_sides(_read_context(words, at)):
                quote = " ".join(words[max(0, at - 3) : at + 6])
                message = f"the findings don't say {word!r} of this: {quote}"
                yield flag(FlagKind.LATERALITY, Severity.CRITICAL, message, [places[at]])


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


def _join(sides: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*sides)
