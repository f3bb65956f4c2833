"""A draft impression, and where it came from. A draft is never anything but unverified: rule 2 of the design."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import AwareDatetime


class Severity(StrEnum):
    """How much a flag weighs."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Stage(StrEnum):
    """Which stage wrote the text."""

    FINE = "fine"
    """The signer's LoRA, over the coarse text."""
    COARSE = "coarse"
    """The extractive stage: the fine text was refused or not to be had."""
    WHOLE = "whole"
    """One LoRA from findings to impression, as 3-8 B models do it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """Something a reader of the draft should know. `kind` is a fixed word; `message` may quote the report."""

    kind: str
    message: str = field(repr=False)
    severity: Severity = Severity.WARNING


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftImpression:
    """A drafted impression with its provenance. It holds no status: there is only one it could have."""

    id: str
    text: str = field(repr=False)
    findings_digest: str
    signer: str
    """The radiologist whose style was asked for."""
    lora: str
    """`rad/<id>@v<seq>-<digest12>`, a persona's or the site's LoRA version, or `base`."""
    model: str
    base_digest: str
    prompt_version: str
    stage: Stage
    fallback: tuple[str, ...] = ()
    """Why something better was not used, in order."""
    flags: tuple[Flag, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)
    made_at: AwareDatetime
