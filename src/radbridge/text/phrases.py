"""Phrases of several words, found in one pass over a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from radbridge.text.words import read_words

T = TypeVar("T")
Phrase = tuple[str, ...]


class PhraseTable(Generic[T]):
    """Phrases by their first word, so that a text is matched in one pass, longest phrase first."""

    def __init__(self, phrases: Iterable[tuple[Phrase, T]]) -> None:
        self._values: dict[Phrase, T] = {}
        lengths: dict[str, set[int]] = {}
        for phrase, value in phrases:
            self._values.setdefault(phrase, value)
            lengths.setdefault(phrase[0], set()).add(len(phrase))
        self._lengths = {first: sorted(of_first, reverse=True) for first, of_first in lengths.items()}

    def find(self, words: list[str]) -> list[tuple[int, int, T]]:
        """Every phrase in `words`, left to right, none inside another: start, end, value."""
        found: list[tuple[int, int, T]] = []
        end = 0
        for at, word in enumerate(words):
            if at >= end and word in self._lengths and (match := self._match_at(words, at)):
                end = match[0]
                found.append((at, *match))
        return found

    def _match_at(self, words: list[str], at: int) -> tuple[int, T] | None:
        for length in self._lengths[words[at]]:
            phrase = tuple(words[at : at + length])
            if phrase in self._values:
                return at + len(phrase), self._values[phrase]
        return None


def make_cues(phrases: Iterable[str], false: Iterable[str] = ()) -> PhraseTable[bool]:
    """A table of `phrases`, True; those of `false` look like cues and are none, False."""
    return PhraseTable([(tuple(read_words(p)), cue) for group, cue in ((phrases, True), (false, False)) for p in group])
