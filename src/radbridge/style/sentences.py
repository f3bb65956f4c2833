"""Which signed sentences show best how a statement would be worded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from radbridge.style.kinds import BUILDS, Trait, read_traits
from radbridge.text import content_words

_SAME_BUILD, _NEW_TRAIT, _SHOWN_TRAIT, _OTHER_TRAIT = 4.0, 1.0, 0.2, -0.1
"""What a sentence is worth for its build, a trait that none shows yet, one that is shown, one the statement lacks."""
_LATER = 1e-4
"""Of two that are alike the later one is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StyleSentence:
    """One sentence of a signed impression, without list mark."""

    text: str = field(repr=False)
    id: str
    """Of the example that it is from."""


def choose_style(statement: str, sentences: Sequence[StyleSentence], k: int = 3) -> tuple[StyleSentence, ...]:
    """At most `k` of `sentences`, the nearest last.

    A denial is worded like other denials, whatever they deny: so what counts is how a sentence is built, then which of
    the statement's traits no sentence shows yet, and the words last. None of another build, if it can be helped.
    """
    traits, words = _read(statement)
    left = {sentence.text: (number, sentence) for number, sentence in enumerate(sentences)}
    chosen: list[StyleSentence] = []
    shown: frozenset[Trait] = frozenset()

    def worth(item: tuple[int, StyleSentence]) -> float:
        number, sentence = item
        theirs, said = _read(sentence.text)
        alike = theirs & traits
        return (
            _SAME_BUILD * len(alike & BUILDS)
            + _NEW_TRAIT * len(alike - shown)
            + _SHOWN_TRAIT * len(alike & shown)
            + _OTHER_TRAIT * len(theirs - traits)
            + len(said & words) / (1 + len(said | words))
            + _LATER * number
        )

    while left and len(chosen) < k:
        _, best = max(left.values(), key=worth)
        theirs, _ = _read(best.text)
        if chosen and not theirs & traits & BUILDS:
            break
        chosen.append(best)
        shown |= theirs
        del left[best.text]
    return tuple(reversed(chosen))


@lru_cache(maxsize=1 << 12)
def _read(statement: str) -> tuple[frozenset[Trait], frozenset[str]]:
    return read_traits(statement), frozenset(content_words(statement))
