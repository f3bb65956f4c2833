"""A text that could be the impression, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from radbridge.entities.labels import read_labels
from radbridge.retrieval.overlap import Words
from radbridge.text import content_words

_KEPT = 20_000
"""Texts that stay read: a site signs the same ones again and again."""


class Source(StrEnum):
    """Whose words a text is made of."""

    COARSE = "coarse"
    """The findings' own."""
    RETRIEVED = "retrieved"
    """All or some of them stand in another report of the site."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadText:
    """A text with what the chooser looks at, read once."""

    text: str = field(repr=False)
    words: Words = field(repr=False)
    content: frozenset[str] = field(repr=False)
    """Its stemmed words without function words and numbers."""
    labels: frozenset[str]
    """What it says is there."""

    @property
    def is_listed(self) -> bool:
        """Whether it is a numbered list."""
        return self.text.startswith("1.")


@lru_cache(maxsize=_KEPT)
def read_text(text: str) -> ReadText:
    """`text`, read."""
    content = frozenset(word for word in content_words(text) if not word.isdigit())
    return ReadText(text=text, words=Words.read(text), content=content, labels=read_labels(text))


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A text that may be chosen."""

    read: ReadText
    source: Source
    likeness: float = 0.0
    """The cosine between this case's findings and those it was signed for; 0 for a text that is no whole one."""

    @property
    def text(self) -> str:
        """The text itself."""
        return self.read.text
