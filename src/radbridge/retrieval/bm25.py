"""BM25 over texts that come and go (Robertson and Zaragoza 2009), in milliseconds at 100,000 of them.

A question is answered in two steps. The postings of its rarest words are walked, newest text first, until a budget is
spent: that gives candidates. The best of these are scored exactly, from the words that are kept of each text. Small
collections are walked whole, so that the answer is exact.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from heapq import nlargest
from itertools import chain, islice
from math import log

from radbridge.text import content_words

K1, B = 1.2, 0.75
_WALKED = 5_000
"""Postings that one question walks."""
_RESCORED = 64
"""Candidates that are scored exactly."""
_COUNT_BITS = 8
_MOST = (1 << _COUNT_BITS) - 1


class _Postings:
    """The places of the texts that hold one word."""

    __slots__ = ("alive", "earlier", "later")

    def __init__(self) -> None:
        self.later = array("I")
        """Of texts that were the newest when they came; the last is the newest."""
        self.earlier = array("I")
        """Of texts older than some that were there; those of a journal that is read backwards."""
        self.alive = 0

    def newest_first(self) -> Iterator[int]:
        return chain(reversed(self.later), self.earlier)


class Bm25Index:
    """Texts by number, a newer one the higher; the index keeps their words and no text."""

    def __init__(self) -> None:
        self._terms: dict[str, int] = {}
        self._postings: list[_Postings] = []
        self._rows: list[array[int] | None] = []
        """By place: the length in words, then `term << 8 | count` for each word; None where the text is gone."""
        self._numbers = array("Q")
        """By place."""
        self._places: dict[int, int] = {}
        self._highest = -1
        self._words = 0

    def __len__(self) -> int:
        return len(self._places)

    def add(self, number: int, text: str) -> None:
        """Index a text. Raises ValueError for a number that is there."""
        if number in self._places:
            raise ValueError("a number that is in the index")
        words = content_words(text)
        place = len(self._rows)
        row = array("I", (len(words),))
        for word, count in Counter(words).items():
            term = self._terms.setdefault(word, len(self._postings))
            if term == len(self._postings):
                self._postings.append(_Postings())
            postings = self._postings[term]
            (postings.later if number > self._highest else postings.earlier).append(place)
            postings.alive += 1
            row.append(term << _COUNT_BITS | min(count, _MOST))
        self._rows.append(row)
        self._numbers.append(number)
        self._places[number] = place
        self._highest = max(self._highest, number)
        self._words += len(words)

    def remove(self, number: int) -> None:
        """Take a text out, if it is there."""
        place = self._places.pop(number, None)
        row = None if place is None else self._rows[place]
        if place is None or row is None:
            return
        self._rows[place] = None
        self._words -= row[0]
        for packed in row[1:]:
            postings = self._postings[packed >> _COUNT_BITS]
            postings.alive -= 1
            if 4 * postings.alive < 3 * (len(postings.later) + len(postings.earlier)):
                postings.later, postings.earlier = (
                    array("I", (p for p in places if self._rows[p] is not None))
                    for places in (postings.later, postings.earlier)
                )

    def nearest(self, text: str, k: int) -> list[tuple[int, float]]:
        """The `k` texts most like `text` with their scores, the best first; of equals the newer one."""
        weights = self._weigh(text)
        wanted = max(k, _RESCORED)
        scored = [(self._score(row, weights), number) for number, row in self._candidates(weights, wanted)]
        return [(number, score) for score, number in nlargest(k, scored)]

    def _weigh(self, text: str) -> dict[int, float]:
        """The weight of each known word of a question, the rarest first."""
        known = {self._terms[word] for word in content_words(text) if word in self._terms}
        alive = {term: self._postings[term].alive for term in known}
        rarest = sorted((count, term) for term, count in alive.items() if count)
        return {term: log(1 + (len(self) - count + 0.5) / (count + 0.5)) for count, term in rarest}

    def _candidates(self, weights: dict[int, float], wanted: int) -> Iterator[tuple[int, array[int]]]:
        """The texts that share the most weight with a question, as far as the budget reaches."""
        shared: dict[int, float] = {}
        left = _WALKED
        for term, weight in weights.items():
            for place in islice(self._postings[term].newest_first(), left):
                shared[place] = shared.get(place, 0.0) + weight
                left -= 1
            if not left:
                break
        best = sorted(shared, key=shared.__getitem__, reverse=True)
        rows = ((self._numbers[place], row) for place in best if (row := self._rows[place]) is not None)
        return islice(rows, wanted)

    def _score(self, row: array[int], weights: dict[int, float]) -> float:
        usual = self._words / len(self)
        norm = K1 * (1 - B + B * row[0] / usual)
        score = 0.0
        for packed in row[1:]:
            if weight := weights.get(packed >> _COUNT_BITS):
                count = packed & _MOST
                score += weight * count * (K1 + 1) / (count + norm)
        return score
