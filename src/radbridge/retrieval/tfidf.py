"""The texts that are most like a text: TF-IDF over words and pairs of words, by cosine.

Weights as scikit-learn's TfidfVectorizer has them with `ngram_range=(1, 2)` and its defaults (smooth idf, raw counts,
L2 norm), so that published figures of retrieval baselines come out again.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable
from heapq import nlargest
from itertools import pairwise

_WORD = re.compile(r"\b\w\w+\b")


class TfidfIndex:
    """An inverted index of `texts`, built once and kept. A text is known by its number in the order given."""

    def __init__(self, texts: Iterable[str]) -> None:
        counted = [count_grams(text) for text in texts]
        self._size = len(counted)
        holders = Counter(gram for counts in counted for gram in counts)
        self._idf = {gram: math.log((1 + self._size) / (1 + n)) + 1 for gram, n in holders.items()}
        self._postings: dict[str, tuple[array[int], array[float]]] = {g: (array("I"), array("d")) for g in holders}
        for number, counts in enumerate(counted):
            for gram, weight in self._weigh(counts).items():
                numbers, weights = self._postings[gram]
                numbers.append(number)
                weights.append(weight)

    def __len__(self) -> int:
        return self._size

    def nearest(self, text: str, k: int) -> list[tuple[int, float]]:
        """The numbers and cosines of the `k` texts most like `text`, the most alike first, the earlier of equals first.

        A text that shares nothing has cosine 0 and comes last: fewer than `k` only where the index holds fewer.
        """
        cosines = [0.0] * self._size
        for gram, weight in self._weigh(count_grams(text)).items():
            for number, held in zip(*self._postings[gram], strict=True):
                cosines[number] += weight * held
        best = nlargest(k, zip(cosines, range(0, -self._size, -1), strict=True))
        return [(-number, cosine) for cosine, number in best]

    def _weigh(self, counts: Counter[str]) -> dict[str, float]:
        """The weights of the grams that the index knows, as a vector of length 1."""
        weights = {gram: n * self._idf[gram] for gram, n in counts.items() if gram in self._idf}
        norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {gram: weight / norm for gram, weight in weights.items()}


def count_grams(text: str) -> Counter[str]:
    """The words of two letters or more and the pairs of neighbouring ones, lower-cased."""
    words = _WORD.findall(text.lower())
    return Counter([*words, *(f"{a} {b}" for a, b in pairwise(words))])
