"""Laterality: a side in the draft must be the side that the sources give to the same thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from radbridge.draft import Flag, Severity
from radbridge.guard.report import CheckedText
from radbridge.guard.style import load_style
from radbridge.text import FUNCTION_WORDS, stem

_BOTH = frozenset("LR")
_SIDES = {
    "left": frozenset("L"),
    "right": frozenset("R"),
    "lt": frozenset("L"),
    "rt": frozenset("R"),
    "bilateral": _BOTH,
    "bilaterally": _BOTH,
    "both": _BOTH,
    "bibasilar": _BOTH,
    "bibasal": _BOTH,
    "biapical": _BOTH,
}
_CONTEXT = 4
"""How many content words say what a side is said of."""
_REACH = 12
_STUDY = frozenset(
    "ct mri mr ultrasound us xray ray radiograph radiographs views study exam examination mammogram".split()
)
"""`MRI of the left shoulder` names the study; the findings needn't repeat it."""


class _Told:
    """The statements of the sources that name a side, found by their words."""

    def __init__(self, sources: Sequence[CheckedText]) -> None:
        sided = [r for s in sources for r in s.readings if not _SIDES.keys().isdisjoint(r.words)]
        self._sides = [_join(_SIDES[w] for w in r.words if w in _SIDES) for r in sided]
        self._anywhere = _join(self._sides)
        self._by_stem: dict[str, list[int]] = {}
        for at, reading in enumerate(sided):
            for root in {stem(w) for w in reading.words}:
                self._by_stem.setdefault(root, []).append(at)

    def find_sides(self, context: frozenset[str]) -> frozenset[str]:
        """The sides of the statements that share most with `context`; every side told where none shares half of it."""
        shared = Counter(at for root in context for at in self._by_stem.get(root, ()))
        most = max(shared.values(), default=0)
        if not most or 2 * most < len(context):
            return self._anywhere
        return _join(self._sides[at] for at, count in shared.items() if count == most)


def check_sides(draft: CheckedText, sources: Sequence[CheckedText]) -> Iterator[Flag]:
    """One flag for each sided thing whose side the sources give otherwise or not at all."""
    told = _Told(sources)
    for reading in draft.readings:
        for at, word in enumerate(reading.words):
            if word not in _SIDES or not _STUDY.isdisjoint(reading.words[max(0, at - 3) : at]):
                continue
            if not _SIDES[word] <= told.find_sides(_read_context(reading.words, at)):
                yield _flag(reading.words, at)


def _flag(words: list[str], at: int) -> Flag:
    quote = " ".join(words[max(0, at - 3) : at + 6])
    message = f"the findings don't say {words[at]!r} of this: {quote}"
    return Flag(kind="laterality", message=message, severity=Severity.CRITICAL)


def _read_context(words: list[str], at: int) -> frozenset[str]:
    """What the side at word `at` is said of: the content words after it, else the ones before."""
    glue = load_style().glue
    found: list[str] = []
    for word in words[at + 1 : at + 1 + _REACH]:
        if len(found) == _CONTEXT or (word in _SIDES and found):
            break
        if word not in FUNCTION_WORDS and (root := stem(word)) not in glue:
            found.append(root)
    before = (w for w in words[max(0, at - _CONTEXT) : at] if w not in FUNCTION_WORDS and w not in _SIDES)
    return frozenset(found) or frozenset(map(stem, before))


def _join(sides: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*sides)
