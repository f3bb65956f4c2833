"""The guard's word lists, read once from the package's `style.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from radbridge.text import read_words, stem


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """Word lists of the guard. Glue and synonyms are stems, the rest plain words."""

    glue: frozenset[str]
    synonyms: dict[str, frozenset[str]]
    female: frozenset[str]
    male: frozenset[str]
    ages: dict[str, tuple[int, int]]
    implied: dict[str, frozenset[str]]
    """A finding, and those whose mention makes it a fair conclusion."""


@cache
def load_style() -> Style:
    """The package's lists; read on first use."""
    table = tomllib.loads(files(__package__).joinpath("style.toml").read_text(encoding="utf-8"))
    synonyms: dict[str, frozenset[str]] = {}
    for row in table["synonyms"]["rows"]:
        stems = frozenset(stem(w) for w in row)
        for one in stems:
            synonyms[one] = synonyms.get(one, frozenset()) | stems
    return Style(
        glue=frozenset(stem(w) for w in read_words(table["glue"]["words"])),
        synonyms=synonyms,
        female=frozenset(table["sex"]["female"]),
        male=frozenset(table["sex"]["male"]),
        ages={word: (low, high) for word, (low, high) in table["age"].items()},
        implied={name: frozenset(from_) for name, from_ in table["implied"].items()},
    )
