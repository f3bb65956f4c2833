"""`lists.toml` as the injector uses it: words, pairs and patterns."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

LISTS = Path(__file__).parent / "lists.toml"


@cache
def read_lists() -> dict[str, Any]:
    """The whole table."""
    return tomllib.loads(LISTS.read_text(encoding="utf-8"))


def look_up(path: str) -> Any:
    """The entry at a dotted path."""
    entry: Any = read_lists()
    for key in path.split("."):
        entry = entry[key]
    return entry


@cache
def words(path: str) -> frozenset[str]:
    """A list of single words."""
    return frozenset(look_up(path).lower().split())


@cache
def lines(path: str) -> tuple[str, ...]:
    """A list with one phrase a line."""
    return tuple(line.strip() for line in look_up(path).splitlines() if line.strip())


@cache
def alternatives(path: str) -> tuple[tuple[str, ...], ...]:
    """Groups of phrases that exclude each other, one group a line."""
    return tuple(cut(line) for line in lines(path))


@cache
def replacements(path: str) -> tuple[tuple[str, str], ...]:
    """What is said and what the error says instead, the longest first."""
    pairs = [(said, wrong) for said, _, wrong in (line.partition(" -> ") for line in lines(path))]
    return tuple(sorted(pairs, key=lambda pair: -len(pair[0])))


@cache
def stems(path: str) -> tuple[str, ...]:
    """Stems cut at `|`, or at white space where there is none."""
    text = look_up(path).lower()
    return cut(text) if "|" in text else tuple(text.split())


def cut(line: str) -> tuple[str, ...]:
    """The parts between `|`, with single spaces."""
    return tuple(" ".join(part.split()) for part in line.split("|") if part.strip())


@cache
def phrase(text: str) -> re.Pattern[str]:
    """`text` as whole words, whatever its case and white space."""
    body = r"\s+".join(re.escape(word) for word in text.split())
    return re.compile(rf"(?<![\w-])(?<!\d\.){body}(?![\w-]|\.\d)", re.IGNORECASE)


def holds(text: str, *phrases: str) -> bool:
    """Whether any of the phrases stands in `text`."""
    return any(phrase(p).search(text) for p in phrases)
