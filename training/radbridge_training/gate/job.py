"""What the gate is given for one radiologist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radbridge.registry import LoraVersion


@dataclass(frozen=True, kw_only=True, slots=True)
class GateJob:
    """One candidate, and what it is judged by."""

    owner: str
    """`rad/<id>`, as the registry spells it."""
    radiologist: str
    candidate: Path
    """The folder of the trained weights."""
    later: Path
    """Lines of `learning.Shown`: reports signed after those that were learned, newest last."""
    into: Path
    """Where the drafts, the verdict and the page go."""
    reports: Path | None = None
    """Lines of `learning.TrainingReport`: all that was read, of which nothing may be said to other patients' cases."""
    champion: LoraVersion | None = None
    without: LoraVersion | None = None
    """The persona's or the site's LoRA that would serve the radiologist otherwise; None: the base would."""
    canaries: Path | None = None
    """Lines of `canaries.Canary` that were learned."""
    identifiers: frozenset[str] = field(default=frozenset(), repr=False)
    """Of the patients that were learned from; held in memory only."""
    marked: bool = False
    """The champion learned from something that was withdrawn."""
    trained: Mapping[str, Any] = field(default_factory=dict)
    """What the page tells of the training: a title and a number or word each."""
