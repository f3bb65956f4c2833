"""`[training]`: when LoRAs are trained from signed reports, from whose, and how they come into service."""

from __future__ import annotations

import re
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from radbridge.config.values import Section

_PERIOD = re.compile(r"(?P<count>[1-9]\d{0,5})(?P<unit>[mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_AT = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d")


def read_period(text: str) -> timedelta | None:
    """`30m`, `24h` or `7d`; None where it is empty. Raises ValueError naming the form."""
    if not text:
        return None
    match = _PERIOD.fullmatch(text)
    if not match:
        raise ValueError("must be a number with m, h or d, such as 24h, or empty")
    return int(match["count"]) * _UNITS[match["unit"]]


def _checked_period(text: str) -> str:
    read_period(text)
    return text


def _checked_time(text: str) -> str:
    if text and not _AT.fullmatch(text):
        raise ValueError("must be a time of day such as 02:30, or empty")
    return text


class Trial(Section):
    """How new weights are watched in service."""

    mode: Literal["canary", "none"] = "canary"
    """`canary`: they write `model.canary_share` of their radiologist's drafts until it is plain that they do no worse;
    `none`: they write all of them as soon as they have passed the gate."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """How often weights that do no worse are taken back, at most."""
    least: int = Field(default=20, ge=1)
    """Pairs of drafts before a canary may become champion."""
    most: int = Field(default=200, ge=1)
    """Pairs after which one that hasn't is withdrawn."""
    evidence: float = Field(default=20.0, ge=1)
    """How many to one it must be that a canary isn't worse by `margin`."""
    margin: float = Field(default=0.05, ge=0, lt=1)
    """Of edit distance."""
    watch: int = Field(default=200, ge=0)
    """Signed reports for which a new champion is watched."""


class Training(Section):
    """The training turn."""

    every: Annotated[str, AfterValidator(_checked_period)] = ""
    """`24h`, `30m`: the gateway begins a turn when one is due; empty: cron does, or nobody."""
    at: Annotated[str, AfterValidator(_checked_time)] = ""
    """`02:30`, local time: not before this time of day."""
    work: Path = Path("var/training/turns")
    """Where turns keep what they make."""
    recipe: Path | None = None
    """A turn's recipe (YAML); None: the packaged one."""
    registry: Path | None = None
    """The LoRA registry's folder, for a model server of one's own that reads it; None: `model.loras`."""
    server: Path | None = None
    """The settings file of the model server that the gate starts; None: `[model]`'s base and strategy."""
    consent: Literal["opt_out", "opt_in"] = "opt_out"
    radiologists: tuple[str, ...] = ()
    """Who said no where consent is `opt_out`, who said yes where it is `opt_in`."""
    least_reports: int = Field(default=40, ge=4)
    """Signed reports that a first LoRA takes."""
    least_new: int = Field(default=20, ge=1)
    """New ones that a further LoRA takes."""
    cpus: int = Field(default=0, ge=0)
    """Cores for all jobs of a turn together; 0: all but one."""
    ray: str = ""
    """The address of a Ray cluster; empty: this machine alone."""
    least_free_gib: float = Field(default=1.0, ge=0)
    """Room on the disk of `work` and of the registry without which no turn begins."""
    keep_rows: bool = False
    """Whether the rows of a turn that has ended stay on disk."""
    keep_turns: int = Field(default=10, ge=1)
    page_texts: bool = False
    """Whether a gate's page shows de-identified texts."""
    trial: Trial = Trial()

    @property
    def period(self) -> timedelta | None:
        """`every`; None where no turn begins by itself."""
        return read_period(self.every)

    @property
    def time_of_day(self) -> time | None:
        """`at`; None where any time will do."""
        return time.fromisoformat(self.at) if self.at else None

    def has_consent(self, radiologist: str) -> bool:
        """Whether a radiologist's reports may be learned from."""
        return (radiologist in self.radiologists) == (self.consent == "opt_in")
