"""What a prompt is built from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from radbridge.example import StyleExample

Context = Literal["indication", "age", "sex", "comparison", "modality"]
"""What is known of a case besides its findings. With the comparison goes what the prior report concluded."""


class Task(StrEnum):
    """What the model is asked for."""

    IMPRESSION = "impression"
    EXPAND = "expand"
    """The other way round: an impression or key phrases are given, detailed findings are wanted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptInput:
    """One case, and what its radiologist's hand looks like."""

    findings: str = field(repr=False)
    """To expand: the impression or the key phrases. Empty where the preliminary text says it all."""
    indication: str = field(default="", repr=False)
    comparison: str = field(default="", repr=False)
    prior: str = field(default="", repr=False)
    """The impression of the report that it is compared with."""
    modality: str = ""
    sex: str = ""
    age: int | None = None
    coarse: str = field(default="", repr=False)
    """The preliminary impression to rewrite; empty where the model writes from the findings alone."""
    examples: tuple[StyleExample, ...] = field(default=(), repr=False)
    """Reports that this radiologist signed, most alike first; prompts of `p1` don't show them."""
    style: tuple[str, ...] = field(default=(), repr=False)
    """Sentences that this radiologist signed, nearest last; prompts of `p1` don't show them."""
    task: Task = Task.IMPRESSION
