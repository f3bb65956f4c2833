"""How a decoder is to be trained."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Start(StrEnum):
    """The weights to begin with."""

    EMBEDDED = "embedded"
    SCRATCH = "scratch"
    """Fresh ones of the embedded base's shape, with its tokenizer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderPlan:
    """How to train a decoder."""

    epochs: int = 12
    batch: int = 32
    learning_rate: float = 8e-4
    weight_decay: float = 0.05
    clip: float = 1.0
    max_tokens: int = 400
    """Reports with longer prompts are left out."""
    seed: int = 7
