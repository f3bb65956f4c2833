"""Proximal for distal, medial for lateral: a part must have the direction that the sources give it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import EntityText, Statement
from radbridge.guard.likeness import read_context
from radbridge.guard.sources import Sources, flag
from radbridge.text import FUNCTION_WORDS, stem

_PAIRS = (
    ("proximal", "distal"),
    ("medial", "lateral"),
    ("anterior", "posterior"),
    ("superior", "inferior"),
    ("upper", "lower"),
    ("ascending", "descending"),
    ("internal", "external"),
    ("apical", "basal"),
    ("central", "peripheral"),
    ("intrahepatic", "extrahepatic"),
    ("infrarenal", "suprarenal"),
    ("supraclavicular", "infraclavicular"),
    ("cortical", "medullary"),
    ("dorsal", "ventral"),
    ("dorsal", "volar"),
)
_OPPOSITES: dict[str, set[str]] = defaultdict(set)
for _one, _other in _PAIRS:
    _OPPOSITES[_one].add(_other)
    _OPPOSITES[_other].add(_one)
_REACH = 3
"""A direction is of the first word with content among so many after it."""


def check_directions(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each part that the sources only give the opposite direction."""
    told: dict[str, set[str]] = defaultdict(set)
    for text in sources.texts.values():
        for statement in text.statements:
            for _, direction, part in _find_directions(statement.phrasing.words):
                told[part].add(direction)
    for statement in draft.statements:
        for at, direction, part in _find_directions(statement.phrasing.words):
            known = told.get(part) or _find_alike(statement, at, sources)
            if direction not in known and not known.isdisjoint(_OPPOSITES[direction]):
                message = f"the findings don't say {direction!r} of this part"
                yield flag(FlagKind.SITE, Severity.WARNING, message, [statement.phrasing.places[at]])


def _find_alike(statement: Statement, at: int, sources: Sources) -> set[str]:
    """The directions in those statements of the sources that are most like this one."""
    alike = sources.likeness.find(read_context(statement, (at,)), _directions)
    return {direction for s in alike for direction in _directions(s)}


def _directions(statement: Statement) -> set[str]:
    return _OPPOSITES.keys() & statement.phrasing.words


def _find_directions(words: list[str]) -> Iterable[tuple[int, str, str]]:
    """Each direction, with its place among the words and the stem of the part that it is of."""
    for at, word in enumerate(words):
        if word in _OPPOSITES:
            ahead = (w for w in words[at + 1 : at + 1 + _REACH] if w not in FUNCTION_WORDS and w not in _OPPOSITES)
            if part := next(ahead, None):
                yield at, word, stem(part)
