"""Laterality: a side in the draft must be the side that the sources give to the same thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from radbridge.coarse.scopes import Reading
from radbridge.draft import Flag, Severity
from radbridge.guard.lexicon import load_style
from radbridge.guard.report import CheckedText
from radbridge.text import FUNCTION_WORDS, stem

_SIDES = {
    "left": frozenset("L"), "right": frozenset("R"), "lt": frozenset("L"), "rt": frozenset("R"),
    "bilateral": frozenset("LR"), "bilaterally": frozenset("LR"), "both": frozenset("LR"),
    "bibasilar": frozenset("LR"), "bibasal": frozenset("LR"), "biapical": frozenset("LR"),
}  # fmt: skip
_CONTEXT = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    stems: frozenset[str]
    sides: frozenset[str]


def check_sides(draft: CheckedText, sources: Sequence[CheckedText]) -> Iterator[Flag]:
    """One flag for each sided statement whose side the sources give otherwise or not at all."""
    told = [_Source(stems=frozenset(map(stem, r.words)), sides=_sides(r.words)) for s in sources for r in s.readings]
    anywhere = frozenset().union(*(t.sides for t in told))
    for reading in draft.readings:
        for at, word in enumerate(reading.words):
            side = _SIDES.get(word)
            if side and not side <= _sides_told(_context(reading, at), told, anywhere):
                yield Flag(
                    kind="laterality",
                    message=f"the findings don't say {word!r} of this: {_quote(reading, at)}",
                    severity=Severity.CRITICAL,
                )


def _sides(words: Sequence[str]) -> frozenset[str]:
    return frozenset().union(*(_SIDES[w] for w in words if w in _SIDES))


def _context(reading: Reading, at: int) -> frozenset[str]:
    """What the side at word `at` is said of: the content words after it, else the ones before."""
    glue = load_style().glue
    found: list[str] = []
    for word in reading.words[at + 1 :]:
        if word in _SIDES and found:
            break
        if word not in FUNCTION_WORDS and (root := stem(word)) not in glue:
            found.append(root)
        if len(found) == _CONTEXT:
            break
    before = [stem(w) for w in reading.words[max(0, at - _CONTEXT) : at] if w not in FUNCTION_WORDS and w not in _SIDES]
    return frozenset(found or before)


def _sides_told(context: frozenset[str], told: Sequence[_Source], anywhere: frozenset[str]) -> frozenset[str]:
    """The sides of the statements that share most with `context`; every side told when none shares enough."""
    best, sides = 1, anywhere
    for source in told:
        if not source.sides:
            continue
        shared = len(context & source.stems)
        if shared > best or (shared == best and sides is anywhere and 2 * shared >= len(context)):
            best, sides = shared, source.sides
        elif shared == best and sides is not anywhere:
            sides |= source.sides
    return sides


def _quote(reading: Reading, at: int) -> str:
    return " ".join(reading.words[max(0, at - 3) : at + 6])
