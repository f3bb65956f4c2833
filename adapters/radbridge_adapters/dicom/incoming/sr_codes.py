"""The codes of `sr_codes.toml`: what a coded concept is called here, whatever its meaning says."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

from radbridge.case import Code

Table = Literal["region", "side", "site", "finding", "kind", "dose", "answer", "role", "part", "aside"]
MAX_WORDS = 80
"""Characters that are taken of a code's meaning."""

_CLASS = re.compile(
    r"\s*\((?:body structure|finding|disorder|qualifier value|observable entity|morphologic abnormality)\)"
)
_STRUCTURE = re.compile(r"^(?:entire|structure of|endo-?)\s+|\s+structure$", re.IGNORECASE)
_LOBE = re.compile(r"\b(upper|middle|lower) lobe of (?:the )?(?:(left|right) )?lung\b")
_TITLE = re.compile(r"(?<![-\w])[A-Z][a-z]+(?![-\w])")


def word_of(code: Code, table: Table) -> str:
    """What `table` calls a code; empty when it isn't there."""
    return _words(table).get(code.value, "")


def say(code: Code, table: Table) -> str:
    """A code in a report's words: the table's, else its meaning, simplified."""
    return word_of(code, table) or simplify(code.display)


@lru_cache(maxsize=4096)
def simplify(meaning: str) -> str:
    """`Structure of upper lobe of right lung (body structure)` -> `right upper lobe`."""
    text = _STRUCTURE.sub("", _CLASS.sub("", meaning))
    text = _TITLE.sub(lambda found: found[0].lower(), text)
    return " ".join(_LOBE.sub(lambda m: f"{m[2] or ''} {m[1]} lobe", text).split())[:MAX_WORDS]


@cache
def _words(table: Table) -> Mapping[str, str]:
    return {code: word for word, codes in _tables()[table].items() for code in codes}


@cache
def _tables() -> Mapping[str, Mapping[str, list[str]]]:
    return tomllib.loads((files(__package__) / "sr_codes.toml").read_text(encoding="utf-8"))
