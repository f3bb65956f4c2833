"""Which words of a text its sources don't hold."""

from __future__ import annotations

from radbridge.guard.lexicon import load_style
from radbridge.text import FUNCTION_WORDS, drop_list_numbers, read_words, stem

_BOTH_SIDES = frozenset(("bilateral", "both"))


def unsupported_words(text: str, *sources: str) -> list[str]:
    """The content words of `text`, as written there, that no source holds: numbers and sides included, each once, in order.

    A small fixed list of framing words ("evidence", "recommended"), inflections and plain synonyms need no source.
    """
    style = load_style()
    known = {stem(w) for source in sources for w in read_words(source)}
    if {"left", "right"} <= known:
        known |= _BOTH_SIDES
    missing: dict[str, None] = {}
    for word in read_words(drop_list_numbers(text)):
        root = stem(word)
        if word in FUNCTION_WORDS or root in known or root in style.glue:
            continue
        if known.isdisjoint(style.synonyms.get(root, ())) and not _is_same_number(root, known):
            missing[word] = None
    return list(missing)


def _is_same_number(word: str, known: set[str]) -> bool:
    """Whether a source holds the number written otherwise: `2.0` and `2`."""
    return word[0].isdigit() and "." in word and word.rstrip("0").rstrip(".") in known or f"{word}.0" in known
