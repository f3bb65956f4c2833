"""What an evaluation found, as one value: JSON, page and the terminal's table are made from it. It holds no text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from radbridge.evaluation.cost import Cost
from radbridge.evaluation.datatables import DataRow
from radbridge.evaluation.measure import Better, Part, Unit
from radbridge.evaluation.resample import Comparison, Estimate
from radbridge.evaluation.subgroups import SubgroupRow

Subset = Literal["all", "abnormal"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the figures depend on beside the files."""

    seed: int
    draws: int
    """Bootstrap samples."""
    test_draws: int
    """Random exchanges of a test, at most."""
    level: float
    """Of the intervals."""
    radbridge: str
    """The version that counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileNote:
    """A file that was read."""

    name: str
    sha256: str
    rows: int
    """Good ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureNote:
    """What a figure is called and how it is read."""

    name: str
    title: str
    better: Better
    unit: Unit
    part: Part


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelNote:
    """How one label was met."""

    label: str
    part: str
    """`chexpert`, `chest`, `body` or `general`."""
    support: int
    """Signed reports that have it."""
    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeNote:
    """Milliseconds that a draft took, as the server said."""

    p50: float
    p95: float
    longest: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemNote:
    """One system's figures."""

    name: str
    kind: Literal["system", "baseline"]
    file: FileNote | None
    """None for a baseline."""
    failed: int
    """Reports that have an error instead of a draft. They count as empty drafts."""
    figures: Mapping[str, Estimate]
    abnormal: Mapping[str, Estimate]
    """The same over the abnormal reports alone."""
    labels: tuple[LabelNote, ...]
    subgroups: tuple[SubgroupRow, ...]
    stages: Mapping[str, int]
    fallbacks: int
    """Drafts for which something better was meant."""
    with_examples: int
    """Drafts made beside signed reports of the style memory."""
    ms: TimeNote | None
    cost: Cost | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonNote:
    """A system beside another one, in one figure."""

    system: str
    other: str
    figure: str
    subset: Subset
    comparison: Comparison
    p_corrected: float | None
    """By Holm, over all comparisons of the evaluation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Everything that was found."""

    settings: Settings
    references: FileNote
    train: FileNote | None
    """What the retrieval baselines copy from."""
    reports: int
    """Signed reports that every system has a row for."""
    abnormal: int
    skipped: int
    """Faulty rows that were left out on demand."""
    figures: tuple[FigureNote, ...]
    systems: tuple[SystemNote, ...]
    comparisons: tuple[ComparisonNote, ...]
    verdicts: tuple[str, ...]
    """What has to be said first, in sentences."""
    data: tuple[DataRow, ...]
    version: int = 1

    def to_json(self) -> bytes:
        """The value as JSON; what isn't defined is null."""
        return orjson.dumps(self, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
