"""Which words of a text its sources don't hold."""

from __future__ import annotations

from radbridge.guard.style import load_style
from radbridge.text import FUNCTION_WORDS, drop_list_numbers, read_words, stem

_BOTH_SIDES = frozenset(("bilateral", "both"))


def unsupported_words(text: str, *sources: str) -> list[str]:
    """The content words of `text`, as written there, that no source holds: each once, in order.

    Numbers and sides count. A small fixed list of framing words ("evidence", "recommended"), inflections and plain
    synonyms need no source.
    """
    glue = load_style().glue
    known = {stem(w) for source in sources for w in read_words(source)}
    if {"left", "right"} <= known:
        known |= _BOTH_SIDES
    words = dict.fromkeys(w for w in read_words(drop_list_numbers(text)) if w not in FUNCTION_WORDS)
    return [w for w in words if (root := stem(w)) not in glue and not _is_known(root, known)]


def _is_known(root: str, known: set[str]) -> bool:
    style = load_style()
    if root in known or not known.isdisjoint(style.synonyms.get(root, ())):
        return True
    if root[0].isdigit():
        return _is_same_number(root, known)
    groups = style.compounds.get(root, ())
    return bool(groups) and all(not known.isdisjoint(group) for group in groups)


def _is_same_number(number: str, known: set[str]) -> bool:
    """Whether a source holds the number written otherwise: `2.0` and `2`."""
    bare = number.rstrip("0").rstrip(".") if "." in number else number
    return bare in known or f"{bare}.0" in known
