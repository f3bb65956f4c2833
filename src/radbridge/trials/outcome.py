"""An outcome: what became of one draft at its signer's hands, as numbers and without a text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One signed report that a draft was there for."""

    number: int
    """Its place in the order in which reports were signed."""
    version: str
    """The LoRA version that was asked to write the draft, or `base`."""
    at: datetime
    """When the draft was made."""
    distance: float
    """Edit distance, 0 to 1; 1 for a draft that the guard kept back, since all of it had to be written."""
    faulty: bool
    """Whether the guard found an error that may mislead, or the LoRA's whole text had to be left out."""
