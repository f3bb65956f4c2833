"""Reports to learn from and later ones to judge by: apart by time and by patient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from radbridge.learning.report import TrainingReport, Use

LATER_SHARE, LEAST_LATER, MOST_LATER = 0.25, 12, 48


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """One radiologist's reports, each part in the order of signing."""

    learn: tuple[TrainingReport, ...] = field(repr=False)
    later: tuple[TrainingReport, ...] = field(repr=False)
    dropped: tuple[TrainingReport, ...] = field(repr=False)
    """Earlier ones of patients who are in `later`: a model that has seen them knows too much."""


def split(
    reports: Iterable[TrainingReport],
    *,
    newer_than: int = 0,
    later_share: float = LATER_SHARE,
    least_later: int = LEAST_LATER,
    most_later: int = MOST_LATER,
) -> Split:
    """The last reports that may teach something are `later`: a share of them, within bounds, none up to `newer_than`.

    That is the `order` up to which the champion has learned: nor is any of a patient who has a report up to there, or a
    corrected one, whose former text may have been. Where there are fewer than `least_later`, so few they are. What may
    teach nothing, and was signed before the first of them, stays in `learn`: it stood in the style memory.
    """
    ordered = sorted(reports, key=lambda report: report.order)
    useful = [report for report in ordered if report.use is not Use.NONE]
    wanted = min(max(least_later, round(later_share * len(useful))), most_later)
    known = {report.patient for report in ordered if report.order <= newer_than} - {""}
    new = [r for r in useful if r.order > newer_than and not r.corrected and r.patient not in known]
    later = new[max(0, len(new) - wanted) :]
    first = later[0].order if later else float("inf")
    earlier = [report for report in ordered if report.order < first]
    patients = {report.patient for report in later} - {""}
    return Split(
        learn=tuple(report for report in earlier if report.patient not in patients),
        later=tuple(later),
        dropped=tuple(report for report in earlier if report.patient in patients),
    )
