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
        self._by_first: dict[str, list[tuple[Phrase, T]]] = {}
        for phrase, value in phrases:
            self._by_first.setdefault(phrase[0], []).append((phrase, value))
        for entries in self._by_first.values():
            entries.sort(key=lambda entry: -len(entry[0]))

    def find(self, words: list[str]) -> list[tuple[int, int, T]]:
        """Every phrase in `words`, left to right, none inside another: start, end, value."""
        found: list[tuple[int, int, T]] = []
        end = 0
        for at, word in enumerate(words):
            if at >= end and word in self._by_first and (match := self._match_at(words, at)):
                end = match[0]
                found.append((at, *match))
        return found

    def _match_at(self, words: list[str], at: int) -> tuple[int, T] | None:
        for phrase, value in self._by_first[words[at]]:
            end = at + len(phrase)
            if len(phrase) == 1 or tuple(words[at:end]) == phrase:
                return end, value
        return None


def make_cues(phrases: Iterable[str], false: Iterable[str] = ()) -> PhraseTable[bool]:
    """A table of `phrases`, True; those of `false` look like cues and are none, False."""
    return PhraseTable([(tuple(read_words(p)), cue) for group, cue in ((phrases, True), (false, False)) for p in group])
