"""The nearest texts by TF-IDF, held to a slow count of the same weights."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from radbridge.retrieval.tfidf import TfidfIndex, count_grams

WORDS = st.sampled_from("heart lung clear no effusion nodule left right enlarged stable normal".split())
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)


def weigh(text: str, texts: list[str]) -> dict[str, float]:
    """The vector of `text`, as the definition has it."""
    held = Counter(gram for other in texts for gram in count_grams(other))
    weights = {
        gram: n * (math.log((1 + len(texts)) / (1 + held[gram])) + 1)
        for gram, n in count_grams(text).items()
        if held[gram]
    }
    norm = math.hypot(*weights.values()) or 1.0
    return {gram: weight / norm for gram, weight in weights.items()}


@given(texts=st.lists(TEXTS, min_size=1, max_size=8), text=TEXTS, k=st.integers(1, 9))
def test_cosines(texts: list[str], text: str, k: int) -> None:
    """The nearest texts are those of the highest cosines, with their cosines, the earlier of equals first."""
    asked = weigh(text, texts)
    cosines = [sum(asked.get(gram, 0.0) * x for gram, x in weigh(other, texts).items()) for other in texts]
    found = TfidfIndex(texts).nearest(text, k)

    assert len(found) == min(k, len(texts))
    for (number, cosine), best in zip(found, sorted(cosines, reverse=True), strict=False):
        assert math.isclose(cosine, cosines[number], abs_tol=1e-12)
        assert math.isclose(cosine, best, abs_tol=1e-12)


def test_weights() -> None:
    """The weights are those of TfidfVectorizer(ngram_range=(1, 2)) of scikit-learn 1.9.1, whose figures these are."""
    found = TfidfIndex(["No acute disease.", "No acute fracture of a rib.", "Heart size is normal."]).nearest(
        "no acute disease of the heart", 3
    )

    assert [(number, round(cosine, 6)) for number, cosine in found] == [(0, 0.807017), (1, 0.410657), (2, 0.157825)]


def test_itself_is_nearest() -> None:
    """A text is nearest to itself, with cosine 1; two that are the same come in their order."""
    index = TfidfIndex(["Clear lungs.", "Small left effusion.", "Small left effusion."])

    assert [number for number, _ in index.nearest("small LEFT effusion", 2)] == [1, 2]
    assert math.isclose(index.nearest("small LEFT effusion", 1)[0][1], 1.0)


def test_nothing_shared() -> None:
    """A text without a known word finds the first ones, with cosine 0; an empty index finds nothing."""
    assert TfidfIndex(["Clear lungs."]).nearest("", 3) == [(0, 0.0)]
    assert TfidfIndex([]).nearest("Clear lungs.", 3) == []
    assert len(TfidfIndex(["a", "b"])) == 2
