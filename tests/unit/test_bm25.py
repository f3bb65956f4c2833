"""The word index: exact where it walks everything, and never another text's answer after texts have come and gone."""

from __future__ import annotations

import pickle
from collections import Counter
from math import isclose, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.retrieval import bm25
from radbridge.retrieval.bm25 import K1, B, Bm25Index
from radbridge.text import content_words

WORDS = "effusion nodule fracture liver heart lung clear small left right 4 mm".split()
texts = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
STEPS = st.lists(st.tuples(st.integers(0, 8), texts), max_size=24)
"""A number that is in the index leaves it, another comes with the text."""


def apply(steps: list[tuple[int, str]]) -> tuple[Bm25Index, dict[int, str]]:
    """The index after the steps, and what it should hold."""
    index, known = Bm25Index(), dict[int, str]()
    for number, text in steps:
        if known.pop(number, None) is None:
            known[number] = text
            index.add(number, text)
        else:
            index.remove(number)
    return index, known


def score(known: dict[int, str], question: str) -> dict[int, float]:
    """Okapi BM25, written down as in the textbook."""
    words = {number: content_words(text) for number, text in known.items()}
    usual = sum(map(len, words.values())) / len(words) if words else 0.0
    scores = dict.fromkeys(words, 0.0)
    for term in set(content_words(question)):
        holders = sum(term in own for own in words.values())
        weight = log(1 + (len(words) - holders + 0.5) / (holders + 0.5))
        for number, own in words.items():
            if count := Counter(own)[term]:
                scores[number] += weight * count * (K1 + 1) / (count + K1 * (1 - B + B * len(own) / usual))
    return {number: found for number, found in scores.items() if found}


@given(STEPS, texts)
def test_it_is_bm25(steps: list[tuple[int, str]], question: str) -> None:
    """Whatever came and went, the scores are those of BM25 over what is there, and in their order."""
    index, known = apply(steps)
    found = index.nearest(question, 99)
    expected = score(known, question)
    assert len(index) == len(known)
    assert {number for number, _ in found} == set(expected)
    assert all(isclose(value, expected[number], rel_tol=1e-9) for number, value in found)
    assert [value for _, value in found] == sorted((value for _, value in found), reverse=True)


@given(STEPS, texts, st.integers(0, 4))
def test_only_as_many_as_asked(steps: list[tuple[int, str]], question: str, k: int) -> None:
    """The first few are the beginning of all."""
    index, _ = apply(steps)
    assert index.nearest(question, k) == index.nearest(question, 99)[:k]


def test_of_equals_the_newer() -> None:
    """Of texts that fit alike the newer comes first, in whatever order they were added."""
    index = Bm25Index()
    for number in (5, 9, 2, 7):
        index.add(number, "Small effusion.")
    assert [number for number, _ in index.nearest("effusion", 4)] == [9, 7, 5, 2]


def test_a_budget_reaches_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are more texts than a question may walk, it sees the newest, also when they were added backwards."""
    monkeypatch.setattr(bm25, "_WALKED", 10)
    index = Bm25Index()
    for number in (*range(50, 0, -1), *range(51, 53)):
        index.add(number, "Small effusion.")
    assert [number for number, _ in index.nearest("effusion", 99)] == list(range(52, 42, -1))


def test_a_rare_word_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rarest words are walked first, so that a budget spent on common ones costs nothing that matters."""
    monkeypatch.setattr(bm25, "_WALKED", 10)
    index = Bm25Index()
    index.add(1, "Small effusion and a carcinoid.")
    for number in range(2, 60):
        index.add(number, "Small effusion.")
    assert index.nearest("Small effusion, carcinoid.", 1)[0][0] == 1


def test_what_left_takes_no_room() -> None:
    """Words of texts that are gone are cleared away: what is left of a text is less than its findings took."""
    index, text = Bm25Index(), " ".join(WORDS * 4)
    for number in range(1_000):
        index.add(number, text)
        index.remove(number)
    assert len(pickle.dumps(index)) < 1_000 * 16
    assert index.nearest("effusion", 3) == []


def test_a_number_is_used_once() -> None:
    """A number that is in the index is refused; one that isn't may be removed."""
    index = Bm25Index()
    index.add(1, "Effusion.")
    index.remove(2)
    with pytest.raises(ValueError, match="number"):
        index.add(1, "Nodule.")
