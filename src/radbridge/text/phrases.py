"""Phrases of several words, found in one pass over a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from radbridge.text.words import read_words

T = TypeVar("T")
Phrase = tuple[str, ...]
_END = ""


class PhraseTable(Generic[T]):
    """Phrases by their first two words, so that a text is matched in one pass, longest phrase first."""

    def __init__(self, phrases: Iterable[tuple[Phrase, T]]) -> None:
        self._values: dict[Phrase, T] = {}
        for phrase, value in phrases:
            self._values.setdefault(phrase, value)
        self._lengths: dict[str, dict[str, list[int]]] = {}
        """By the first word and the second, and by `_END` where no phrase goes on with the word that follows."""
        for phrase in sorted(self._values, key=len):
            of_first = self._lengths.setdefault(phrase[0], {_END: []})
            of_first.setdefault(phrase[1] if len(phrase) > 1 else _END, [*of_first[_END]]).insert(0, len(phrase))

    def get(self, phrase: Phrase) -> T | None:
        """The value of this very phrase."""
        return self._values.get(phrase)

    def find(self, words: list[str]) -> list[tuple[int, int, T]]:
        """Every phrase in `words`, left to right, none inside another: start, end, value."""
        found: list[tuple[int, int, T]] = []
        if self._lengths.keys().isdisjoint(words):
            return found
        end = 0
        for at in [i for i, word in enumerate(words) if word in self._lengths]:
            if at < end:
                continue
            of_first = self._lengths[words[at]]
            for length in of_first.get(words[at + 1] if at + 1 < len(words) else _END) or of_first[_END]:
                phrase = tuple(words[at : at + length])
                if phrase in self._values:
                    end = at + len(phrase)
                    found.append((at, end, self._values[phrase]))
                    break
        return found


def make_cues(phrases: Iterable[str], false: Iterable[str] = ()) -> PhraseTable[bool]:
    """A table of `phrases`, True; those of `false` look like cues and are none, False."""
    return PhraseTable([(tuple(read_words(p)), cue) for group, cue in ((phrases, True), (false, False)) for p in group])
