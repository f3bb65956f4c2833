"""What the coarse stage picks from and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a statement of the findings says."""

    ABNORMAL = "abnormal"
    ANSWER = "answer"
    """Denies what the indication asks about."""
    CHANGE = "change"
    """Only compares with the prior study."""
    RECOMMENDATION = "recommendation"
    NORMAL = "normal"
    TECHNIQUE = "technique"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One statement of the findings, compressed. More `score` matters more; `index` is its place in the findings."""

    text: str = field(repr=False)
    kind: Kind
    score: float
    index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CoarseDraft:
    """An extractive impression: its text, and the statements it was made of, in the order of the text."""

    text: str = field(repr=False)
    statements: tuple[Statement, ...] = ()
