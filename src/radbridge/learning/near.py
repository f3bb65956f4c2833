"""Reports that say nearly the same: a template that was signed a hundred times teaches once."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from radbridge.learning.report import TrainingReport
from radbridge.text import read_words

HASHES, BANDS = 32, 8
"""Of a MinHash (Broder 1997) and of its bands: two texts of Jaccard 0.9 meet in one of eight bands of four in 99.99 of
100 cases, and only those that meet are compared."""
_PRIME = (1 << 61) - 1
_MOST_COMPARED = 64
"""Of one bucket, each with the newest ones: a thousand copies need no half a million comparisons."""


def find_near(reports: Sequence[TrainingReport], *, jaccard: float, shingle: int) -> frozenset[str]:
    """The ids of the reports that a newer one repeats: findings and impression both.

    The texts are sets of `shingle` words in a row; those of at least `jaccard` likeness are one.
    """
    said = {r.id: (_cut(r.findings, shingle), _cut(r.signed, shingle)) for r in reports}
    order = {r.id: r.order for r in reports}
    repeated: set[str] = set()
    for one, other in _meet({id: findings | signed for id, (findings, signed) in said.items()}, order):
        if all(_likeness(a, b) >= jaccard for a, b in zip(said[one], said[other], strict=True)):
            repeated.add(min(one, other, key=lambda id: order[id]))
    return frozenset(repeated)


def _cut(text: str, shingle: int) -> frozenset[int]:
    words = read_words(text)
    ends = range(max(1, len(words) - shingle + 1))
    return frozenset(zlib.crc32(" ".join(words[i : i + shingle]).encode()) for i in ends) if words else frozenset()


def _meet(shingles: Mapping[str, frozenset[int]], order: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Pairs that share a band of their signatures, each once."""
    buckets: defaultdict[tuple[int, tuple[int, ...]], list[str]] = defaultdict(list)
    rows = HASHES // BANDS
    for id, said in shingles.items():
        if said:
            signature = tuple(_sign(said))
            for band in range(BANDS):
                buckets[band, signature[band * rows : (band + 1) * rows]].append(id)
    met: set[frozenset[str]] = set()
    for bucket in buckets.values():
        newest = sorted(bucket, key=lambda id: -order[id])
        for one, other in (*combinations(newest[:_MOST_COMPARED], 2), *((newest[0], id) for id in newest[1:])):
            pair = frozenset((one, other))
            if pair not in met:
                met.add(pair)
                yield one, other


def _sign(shingles: Iterable[int]) -> Iterator[int]:
    """The smallest value of each of the hashes."""
    known = tuple(shingles)
    for n in range(HASHES):
        factor, shift = _FACTORS[n]
        yield min((factor * value + shift) % _PRIME for value in known)


def _likeness(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0


def _draw(count: int) -> Iterator[tuple[int, int]]:
    """Factors and shifts, the same in every run (Knuth's MMIX generator)."""
    state = 1
    for _ in range(count):
        drawn = []
        for _ in range(2):
            state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
            drawn.append(state % (_PRIME - 1) + 1)
        yield drawn[0], drawn[1]


_FACTORS = tuple(_draw(HASHES))
