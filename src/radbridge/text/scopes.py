"""Which findings a statement affirms and which it denies: ConText-style scopes over words (Harkema 2009)."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from radbridge.text.vocabulary import Concept, Cue, load_vocabulary
from radbridge.text.words import read_words, stem

_Found = tuple[int, int, Cue]
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Denial:
    """What a statement denies, as indexes of its words."""

    words: frozenset[int] = frozenset()
    """What stands in a denial, its cue included."""
    unchanged: frozenset[int] = frozenset()
    """Words for a change that is denied: `growth` in `no growth of the cyst`."""


_NOTHING = Denial()


def read_statement(text: str) -> Reading:
    """Read one statement."""
    vocabulary = load_vocabulary()
    words, commas, breaks = _read_parts(text)
    denied = read_denial(words, commas, breaks).words
    mentions = tuple(
        Mention(concept=concept, start=start, end=end, denied=end - 1 in denied and words[start] not in _OWN_DENIAL)
        for start, end, concept in vocabulary.findings.find([stem(w) for w in words])
    )
    return Reading(words=words, mentions=mentions, denied=denied)


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


def read_denial(words: list[str], commas: list[int], breaks: list[int]) -> Denial:
    """What a statement denies. A comma stands before each word of `commas`, a semicolon before each of `breaks`."""
    cues = load_vocabulary().denials.find(words)
    if not any(cue.before or cue.after or cue.alone for _, _, cue in cues):
        return _NOTHING
    return _Scopes(words, commas, breaks, cues).read()


class _Scopes:
    """How far the denials of one statement reach."""

    def __init__(self, words: list[str], commas: list[int], breaks: list[int], cues: list[_Found]) -> None:
        self._words = words
        self._vocabulary = load_vocabulary()
        self._changes = [(start, end, at) for start, end, cue in cues if (at := self._find_change(end, cue))]
        passed = {i for start, _, at in self._changes for i in (start, at)}
        self._cues = [found for found in cues if found[0] not in passed]
        self._commas = sorted(set(commas))
        self._joints = sorted({*commas, *(i + 1 for i, word in enumerate(words) if word == "and")})
        stops = (start for start, _, cue in self._cues if cue.ends)
        changes = (start for start, _, _ in self._changes)
        self._ends = sorted({*stops, *changes, *breaks, *self._new_items(), *self._own_statements()})

    def read(self) -> Denial:
        denied: set[int] = set()
        parts = sorted((*self._ends, *self._joints))
        for start, end, cue in self._cues:
            if cue.before and start not in denied:
                denied.update(range(start, self._end_of(end)))
            elif cue.alone:
                denied.update(range(start, end))
        for start, end, cue in self._cues:
            if cue.after:
                denied.update(range(max(self._last(self._ends, start), start - _BACKWARD_REACH), end))
            if cue.opens:
                denied.difference_update(range(self._last(parts, start), end))
        for _, _, at in self._changes:
            denied.update(self._resumed(at))
        return Denial(words=frozenset(denied), unchanged=frozenset(at for _, _, at in self._changes))

    def _find_change(self, end: int, cue: Cue) -> int:
        """Where a denial that ends before word `end` meets the change that it denies; 0 where it denies something."""
        if cue.ends or cue.opens or cue.alone or (cue.after and not cue.before):
            return 0
        words, known = self._words, self._vocabulary
        while end < len(words) and words[end] in known.between:
            end += 1
        is_change = end < len(words) and words[end] in known.changes
        return end if is_change and known.named.isdisjoint(words[end + 1 : end + 2]) else 0

    def _resumed(self, at: int) -> range:
        """What a denial denies beside the change at word `at`."""
        end = self._end_of(at)
        resumes = (i for i in range(at, end - 1) if self._words[i] in _JOINS)
        first = next((i for i in resumes if self._words[i + 1] in self._vocabulary.resumes), end)
        return range(first, end)

    def _new_items(self) -> Iterator[int]:
        """`No pneumothorax, small effusion`: the effusion is there, where no "or" joins it."""
        own, words = self._vocabulary.own, self._words
        last_join = max((i for i, word in enumerate(words) if word in _JOINS), default=-1)
        for at in self._joints:
            first = at + 1 if words[at : at + 1] in (["a"], ["an"]) else at
            if last_join < at and first < len(words):
                begins = own.begins if words[at - 1] != "and" else own.begins_joined
                if words[first] in begins or words[first][0].isdigit():
                    yield at

    def _own_statements(self) -> Iterator[int]:
        """`No pneumothorax, the heart is large`: where what has a verb of its own begins, behind a statement."""
        own, words = self._vocabulary.own, self._words
        told = min((start for start, _, cue in self._cues if cue.before), default=len(words))
        for at, word in enumerate(words):
            plural = word in own.plural_verbs
            if (plural or word in own.verbs) and not self._closes_list(at + 1):
                begin = self._joint_before(at, plural=plural)
                if told < begin and words[begin] not in _JOINS:
                    yield begin
                told = min(told, at)

    def _closes_list(self, at: int) -> bool:
        own = self._vocabulary.own
        while at < len(self._words) and self._words[at] in own.adverbs:
            at += 1
        return at < len(self._words) and self._words[at] in own.closing

    def _joint_before(self, at: int, *, plural: bool) -> int:
        """Where what the verb at word `at` is said of begins; 0 where no comma and no "and" stands before it."""
        return (plural and self._last(self._commas, at)) or self._last(self._joints, at)

    def _end_of(self, at: int) -> int:
        """The first end at word `at` or after it."""
        i = bisect_left(self._ends, at)
        return self._ends[i] if i < len(self._ends) else len(self._words)

    @staticmethod
    def _last(ends: list[int], at: int) -> int:
        """The last of the ends at word `at` or before it."""
        i = bisect_right(ends, at)
        return ends[i - 1] if i else 0
