"""Which findings a statement affirms and which it denies: ConText-style scopes over words (Harkema 2009)."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass

from radbridge.text.vocabulary import Concept, Vocabulary, load_vocabulary
from radbridge.text.words import read_words, stem

_BACKWARD_REACH = 12
_MARK = re.compile(r"([,;])(?=\s)")
_JOINS = frozenset(("or", "nor"))
_OWN_DENIAL = frozenset(("no", "absent", "absence"))
"""A finding that is named by what is missing (`no flow`) isn't denied by that word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """A finding at words `start` to `end` of its statement."""

    concept: Concept
    start: int
    end: int
    denied: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A statement read: its words, what it mentions, and which of its words stand in a denial."""

    words: list[str]
    mentions: tuple[Mention, ...]
    denied: frozenset[int]
    """Indexes of denied words, cues included."""

    def affirms(self) -> frozenset[str]:
        """The names of the findings it affirms."""
        return frozenset(m.concept.name for m in self.mentions if not m.denied)

    def denies(self) -> frozenset[str]:
        """The names of the findings it denies."""
        return frozenset(m.concept.name for m in self.mentions if m.denied)


def read_statement(text: str) -> Reading:
    """Read one statement."""
    vocabulary = load_vocabulary()
    words, commas, breaks = _read_parts(text)
    denied = find_denied(words, commas, breaks)
    mentions = tuple(
        Mention(concept=concept, start=start, end=end, denied=end - 1 in denied and words[start] not in _OWN_DENIAL)
        for start, end, concept in vocabulary.findings.find([stem(w) for w in words])
    )
    return Reading(words=words, mentions=mentions, denied=frozenset(denied))


def _read_parts(text: str) -> tuple[list[str], list[int], list[int]]:
    """The words of `text`, and before which of them a comma or a semicolon stands."""
    words: list[str] = []
    marks: dict[str, list[int]] = {",": [], ";": []}
    for piece in _MARK.split(text):
        if piece in marks:
            marks[piece].append(len(words))
        else:
            words += read_words(piece)
    return words, marks[","], marks[";"]


def _scope_ends(words: list[str], commas: list[int], breaks: list[int], vocabulary: Vocabulary) -> list[int]:
    """Where a denial ends, ascending. `No pneumothorax, small effusion`: the effusion is there, no "or" joins it."""
    last_join = max((i for i, word in enumerate(words) if word in _JOINS), default=-1)
    new_items = (i for i in commas if last_join < i < len(words) and stem(words[i]) in vocabulary.grading)
    return sorted({*(start for start, _, _ in vocabulary.denial_ends.find(words)), *breaks, *new_items})


def find_denied(words: list[str], commas: list[int], breaks: list[int]) -> set[int]:
    """The indexes of denied words, cues included. A comma or a semicolon stands before a word of `commas`, `breaks`."""
    vocabulary = load_vocabulary()
    ends = _scope_ends(words, commas, breaks, vocabulary)
    denied: set[int] = set()
    for start, end, real in vocabulary.denials_before.find(words):
        if real and start not in denied:
            at = bisect_left(ends, end)
            denied.update(range(start, ends[at] if at < len(ends) else len(words)))
    for start, end, real in vocabulary.denials_after.find(words):
        if real:
            at = bisect_left(ends, start)
            first = ends[at - 1] + 1 if at else 0
            denied.update(range(max(first, start - _BACKWARD_REACH), end))
    return denied
