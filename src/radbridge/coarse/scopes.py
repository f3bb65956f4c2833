"""Which findings a statement affirms and which it denies: ConText-style scopes over words (Harkema 2009)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from radbridge.coarse.lexicon import Concept, Lexicon, load_lexicon
from radbridge.text import read_words, stem

_BACKWARD_REACH = 12
_PART = re.compile(r"([,;])(?=\s)")
_JOINS = frozenset(("or", "nor"))


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
    lexicon = load_lexicon()
    words, commas, breaks = _read_parts(text)
    denied = _denied_words(words, commas, breaks, lexicon)
    mentions = tuple(
        Mention(concept=concept, start=start, end=end, denied=end - 1 in denied)
        for start, end, concept in lexicon.findings.find([stem(w) for w in words])
    )
    return Reading(words=words, mentions=mentions, denied=frozenset(denied))


def _read_parts(text: str) -> tuple[list[str], list[int], list[int]]:
    """The words of `text`, and before which of them a comma or a semicolon stands."""
    words: list[str] = []
    marks: dict[str, list[int]] = {",": [], ";": []}
    for piece in _PART.split(text):
        if piece in marks:
            marks[piece].append(len(words))
        else:
            words += read_words(piece)
    return words, marks[","], marks[";"]


def _denied_words(words: list[str], commas: list[int], breaks: list[int], lexicon: Lexicon) -> set[int]:
    ends = {start for start, _, _ in lexicon.negation_ends.find(words)} | set(breaks)
    last_join = max((i for i, word in enumerate(words) if word in _JOINS), default=-1)
    # "No pneumothorax, small effusion": a graded item after the list's last "or" begins something that is there.
    ends.update(i for i in commas if last_join < i < len(words) and stem(words[i]) in lexicon.grading)
    denied: set[int] = set()
    for start, end, real in lexicon.negation_before.find(words):
        if real:
            stop = next((i for i in range(end, len(words)) if i in ends), len(words))
            denied.update(range(start, stop))
    for start, end, real in lexicon.negation_after.find(words):
        if real:
            first = max((i for i in ends if i < start), default=-1) + 1
            denied.update(range(max(first, start - _BACKWARD_REACH), end))
    return denied
