"""How much of two texts is the same, and which of many is most like the others.

Measures of ROUGE's kind for use while drafting: microseconds a pair, no library, no import time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from radbridge.text import read_words, stem
from radbridge.text.sequences import count_common, locate_each


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The stemmed words of a text, prepared once for many comparisons."""

    ordered: tuple[str, ...] = field(repr=False)
    bag: frozenset[tuple[str, int]] = field(repr=False)
    """Each word with which of its occurrences it is: the intersection of two bags counts repetitions."""
    places: Mapping[str, int] = field(repr=False)

    @classmethod
    def read(cls, text: str) -> Words:
        """The words of `text`, inflections of one word alike, function words and numbers kept."""
        ordered = tuple(stem(word) for word in read_words(text))
        seen: dict[str, int] = {}
        bag = []
        for word in ordered:
            seen[word] = seen.get(word, 0) + 1
            bag.append((word, seen[word]))
        return cls(ordered=ordered, bag=frozenset(bag), places=locate_each(ordered))


Overlap = Callable[[Words, Words], float]
"""0 nothing shared, 1 the same; symmetric."""


def unigram_f1(a: Words, b: Words) -> float:
    """The words that two texts share, in any order, over the mean of their lengths."""
    return _over_mean(len(a.bag & b.bag), a, b)


def lcs_f1(a: Words, b: Words) -> float:
    """The longest common subsequence of two texts over the mean of their lengths."""
    if a.ordered == b.ordered:
        return 1.0 if a.ordered else 0.0
    return _over_mean(count_common(a.places, len(a.ordered), b.ordered), a, b)


def medoid(texts: Sequence[Words], overlap: Overlap = lcs_f1) -> int:
    """Which of `texts` is most like all of them; the first of equals. Raises ValueError for none."""
    if not texts:
        raise ValueError("no text to choose from")
    sums = [0.0] * len(texts)
    for i, text in enumerate(texts):
        for j in range(i + 1, len(texts)):
            shared = overlap(text, texts[j])
            sums[i] += shared
            sums[j] += shared
    return max(range(len(texts)), key=sums.__getitem__)


def _over_mean(shared: int, a: Words, b: Words) -> float:
    return 2 * shared / (len(a.ordered) + len(b.ordered)) if shared else 0.0
