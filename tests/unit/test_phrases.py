"""Phrases found in one pass."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from radbridge.text.phrases import PhraseTable

_WORDS = st.lists(st.sampled_from("abc"), min_size=1, max_size=12)
_PHRASES = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple), max_size=8)


@given(phrases=_PHRASES, words=_WORDS)
def test_the_longest_phrase_is_found_wherever_none_has_begun(phrases: list[tuple[str, ...]], words: list[str]) -> None:
    """From left to right the longest phrase that stands there is found, and the search goes on behind it."""
    assert PhraseTable((p, p) for p in phrases).find(words) == list(_search(phrases, words))


def _search(phrases: list[tuple[str, ...]], words: list[str]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    at = 0
    while at < len(words):
        there = [p for p in phrases if tuple(words[at : at + len(p)]) == p]
        longest = max(there, key=len, default=None)
        if longest:
            yield at, at + len(longest), longest
        at += len(longest or " ")


def test_of_one_phrase_told_twice_the_first_meaning_counts() -> None:
    """A phrase has the value that it was first given."""
    assert PhraseTable([(("a",), 1), (("a",), 2)]).find(["a"]) == [(0, 1, 1)]
