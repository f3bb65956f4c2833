"""`[model]`: the model server."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from radbridge.config.tls import Trust
from radbridge.config.values import Strategy


class Model(Trust):
    """The model server, and whom to trust where its URL is `https://`."""

    url: str = Field(default="embedded", pattern=r"^(embedded|https?://[^\s@]+)$")
    deadline_s: float = Field(default=8.0, gt=0, le=600)
    settle_s: float = Field(default=0.25, ge=0, le=30)
    """How long the text must rest before it is drafted: a burst of saves makes one draft."""
    concurrency: int = Field(default=32, ge=1)
    """Drafts asked for at once."""
    base: Path | None = None
    """Embedded server only: the folder of a base model, such as a recipe writes; None: the packaged one."""
    strategy: Strategy | None = None
    """Embedded server only: how it drafts, `coarse` never loads the model; None: as the base was made for."""
    loras: Path | None = None
    """Embedded server only: the LoRA registry's folder."""
    site_lora: str | None = None
    """Embedded server only: whose LoRA drafts for a radiologist who has none; empty: the base's own words; None:
    `persona/succinct`, or with a `base` what that says."""
    personas: dict[str, str] = Field(default_factory=dict)
    """Embedded server only: radiologist id -> `persona/elaborate`, until there is a LoRA of their own."""
    canary_share: float = Field(default=0.0, ge=0, le=1)
    """Embedded server only: of the drafts of a radiologist with a challenger, how many it writes."""
    shadow_share: float = Field(default=0.0, ge=0, le=1)
    """Embedded server only: how many it writes behind the champion's, only to be counted."""
    start_timeout_s: float = Field(default=180.0, gt=0)
