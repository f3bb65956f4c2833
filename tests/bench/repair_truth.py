"""What became of a labelled error and of the true statements beside it. By words alone: it doesn't ask the guard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tests.bench.guard.change import Injection
from tests.bench.guard.sentences import negated, split

_WORD = re.compile(r"[a-z]+|\d+(?:[./]\d+)*")
_IDLE = frozenset(
    "a an and are as at be by for from has have in is it of on or that the there this to was with".split()
)
_SAME = 0.5
"""A sentence with this share of another's words speaks of the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrong:
    """A sentence with the error, and the true one that it was made of."""

    text: str
    truth: str
    """Empty where the sentence was added."""

    @property
    def right_words(self) -> frozenset[str]:
        """Words that the truth has and the error hasn't."""
        return _words(self.truth) - _words(self.text)


def find_wrong(injection: Injection) -> list[Wrong]:
    """The sentences that the error changed or added; none where it only took something out."""
    clean, wrong = injection.clean.impression, injection.report.impression
    gone = [s.text for s in split(clean) if _bare(s.text) not in _sentences(wrong)]
    made = [s.text for s in split(wrong) if _bare(s.text) not in _sentences(clean)]
    return [Wrong(text=text, truth=max(gone, key=lambda t: _share(text, t), default="")) for text in made]


def is_gone(text: str, injection: Injection) -> bool:
    """Whether `text` tells the error no more, in whatever words."""
    true = _sentences(injection.clean.impression)
    said = [s.text for s in split(text) if _bare(s.text) not in true]
    return not any(_tells(s, wrong) for s in said for wrong in find_wrong(injection))


def is_mended(text: str, injection: Injection) -> bool:
    """Whether `text` says rightly what the error had turned."""
    return all(
        any(_share(w.truth, s.text) >= _SAME and w.right_words <= _words(s.text) for s in split(text))
        for w in find_wrong(injection)
        if w.truth
    )


def lost(text: str, injection: Injection) -> list[str]:
    """The affirmed true statements beside the error that the draft told and `text` doesn't tell."""
    return [told for told in _beside(injection) if not any(_share(told, s.text) >= _SAME for s in split(text))]


def share_kept(text: str, injection: Injection) -> float:
    """The part of the true impression's words that `text` has."""
    return _share(injection.clean.impression, text)


def _beside(injection: Injection) -> Iterator[str]:
    still = _sentences(injection.report.impression)
    told = (s.text for s in split(injection.clean.impression) if _bare(s.text) in still)
    return (text for text in told if _words(text) and not negated(text))


def _tells(sentence: str, wrong: Wrong) -> bool:
    if _share(wrong.text, sentence) < _SAME:
        return False
    if new := _words(wrong.text) - _words(wrong.truth):
        return len(new & _words(sentence)) >= _SAME * len(new)
    return not wrong.right_words <= _words(sentence)


def _share(of: str, there: str) -> float:
    return len(_words(of) & _words(there)) / max(1, len(_words(of)))


@lru_cache(maxsize=4096)
def _sentences(text: str) -> frozenset[str]:
    return frozenset(_bare(s.text) for s in split(text))


def _bare(text: str) -> str:
    return text.lower().strip(" .;!?")


@lru_cache(maxsize=16384)
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower())) - _IDLE
