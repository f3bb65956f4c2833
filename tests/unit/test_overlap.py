"""How much two texts share, held to slow counts of the same."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.retrieval.overlap import Words, lcs_f1, medoid, unigram_f1
from radbridge.text.sequences import count_common, locate_each, trace_common

WORDS = st.lists(st.sampled_from("no acute disease effusion left nodule 2".split()), max_size=10)
TEXTS = WORDS.map(" ".join)


def common(a: list[str], b: list[str]) -> int:
    """The length of the longest common subsequence, by its definition."""

    @cache
    def of(i: int, j: int) -> int:
        if not i or not j:
            return 0
        return of(i - 1, j - 1) + 1 if a[i - 1] == b[j - 1] else max(of(i - 1, j), of(i, j - 1))

    return of(len(a), len(b))


@given(a=WORDS, b=WORDS)
def test_common_subsequence(a: list[str], b: list[str]) -> None:
    """The bit-parallel length is that of the definition, and so is the number of zero bits in the last column."""
    length = common(a, b)

    assert count_common(locate_each(a), len(a), b) == length
    assert len(a) - trace_common(a, b)[-1].bit_count() == length


@given(a=TEXTS, b=TEXTS)
def test_overlaps(a: str, b: str) -> None:
    """Both overlaps are shared words over the mean length, symmetric, and 1 for a text beside itself."""
    one, other = Words.read(a), Words.read(b)
    total = len(a.split()) + len(b.split())
    shared = (Counter(one.ordered) & Counter(other.ordered)).total()

    assert unigram_f1(one, other) == unigram_f1(other, one) == (2 * shared / total if shared else 0.0)
    assert lcs_f1(one, other) == lcs_f1(other, one) <= unigram_f1(one, other)
    assert lcs_f1(one, one) == unigram_f1(one, one) == bool(a)


def test_inflections_are_one_word() -> None:
    """Case, punctuation and inflection make no difference; order does for the common subsequence alone."""
    assert lcs_f1(Words.read("Small effusions."), Words.read("small EFFUSION")) == 1
    assert unigram_f1(Words.read("left effusion"), Words.read("effusion left")) == 1
    assert lcs_f1(Words.read("left effusion"), Words.read("effusion left")) == 0.5


def test_medoid() -> None:
    """The medoid is the text most like all others, the first of equals; of no text there is none."""
    texts = [Words.read(t) for t in ("Large effusion.", "No acute disease.", "No acute cardiac disease.", "Normal.")]

    assert medoid(texts) == 1
    assert medoid(texts, unigram_f1) == 1
    assert medoid([texts[0]]) == 0
    with pytest.raises(ValueError, match="no text"):
        medoid([])
