"""The guard's word lists, read once from the package's `style.toml`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from radbridge.text import read_words, stem
from radbridge.text.vocabulary import read_toml

Stems = frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """Word lists of the guard. All are stems."""

    glue: Stems
    synonyms: dict[str, Stems]
    compounds: dict[str, tuple[Stems, ...]]
    """A stem, and the groups of which the sources must hold one stem each."""


@cache
def load_style() -> Style:
    """The package's lists; read on first use."""
    table = read_toml(__package__, "style.toml")
    synonyms: dict[str, Stems] = {}
    for row in table["synonyms"]["rows"]:
        stems = _stems(row.split())
        for one in stems:
            synonyms[one] = synonyms.get(one, frozenset()) | stems
    return Style(
        glue=frozenset(stem(w) for w in read_words(table["glue"]["words"])),
        synonyms=synonyms,
        compounds={stem(word): tuple(_stems(group) for group in groups) for word, groups in table["compound"].items()},
    )


def _stems(words: Iterable[str]) -> Stems:
    return frozenset(stem(w) for w in words)
