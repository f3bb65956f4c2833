"""What weights are worth on reports that they didn't learn from: a step is kept only where it earns its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from radbridge.draft import Severity
from radbridge.edit import measure_distance
from radbridge.guard import Guard
from radbridge.guard.policy import BLOCKING_KINDS
from radbridge.learning import Shown, TrainingReport, Ways
from radbridge_training.optimize.own_drafts import OwnDraft, OwnWriter
from radbridge_training.optimize.rewards import read_normality
from radbridge_training.turn_recipe import Common


@dataclass(frozen=True, kw_only=True, slots=True)
class Worth:
    """Figures of one set of weights; less is better in all but `reports`."""

    reports: int
    distance: float
    """Mean edit distance from draft to signed text."""
    faults: float
    """A draft's share of grave faults: the guard would keep it back, or it calls normal what isn't."""
    refused: float
    """Answers that serving would have refused, a draft."""

    def compare(self, before: Worth) -> str:
        """Why these weights aren't worth a step beyond those before; empty when they are."""
        if self.faults > before.faults:
            return f"more faults on {self.reports} reports: {self.faults:.3f} against {before.faults:.3f}"
        if self.distance >= before.distance:
            return f"no better on {self.reports} reports: {self.distance:.3f} against {before.distance:.3f}"
        return ""


def weigh(shown: Sequence[Shown], *, base: Path, lora: Path | None, ways: Ways, common: Common) -> Worth:
    """Drafts every report with the weights and holds it to the report's findings and to what was signed."""
    writer = OwnWriter(base, lora, ways, threads=common.threads, load=common.load)
    return weigh_drafts(shown, list(writer.draft(shown)))


def weigh_drafts(shown: Sequence[Shown], drafts: Sequence[OwnDraft]) -> Worth:
    """The figures of drafts that are there, in the order of `shown`."""
    reports = [one.report for one in shown]
    return Worth(
        reports=len(reports),
        distance=fmean(measure_distance(d.text, r.signed) for d, r in zip(drafts, reports, strict=True)),
        faults=fmean(is_faulty(d.text, r) for d, r in zip(drafts, reports, strict=True)),
        refused=fmean(d.refused for d in drafts),
    )


def is_faulty(text: str, report: TrainingReport) -> bool:
    """Whether the guard would keep `text` back, or it calls normal a study that its signer doesn't."""
    guard = Guard(
        report.findings,
        indication=report.indication,
        comparison=report.comparison,
        sex=report.sex,
        modality=report.modality,
        age=report.age,
    )
    if any(f.severity is Severity.CRITICAL and f.kind in BLOCKING_KINDS for f in guard.check(text)):
        return True
    normality = read_normality(report.findings, report.signed)
    return normality is not None and not normality.allows(text)
