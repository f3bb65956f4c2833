"""Recall on injected errors, false alarms on clean reports, and the time of a check."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

from radbridge.draft import Flag, Severity
from radbridge.guard import check_draft
from tests.bench.guard.change import Injection
from tests.bench.guard.reports import Report

Check = Callable[[Report], tuple[Flag, ...]]
_Z = 1.959964
"""Of a two-sided 95 % interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """`hits` of `total`, with the 95 % interval of Wilson (1927)."""

    hits: int
    total: int

    @property
    def share(self) -> float:
        return self.hits / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound; everything is possible where nothing was tried."""
        if not self.total:
            return 0.0, 1.0
        n, p = self.total, self.share
        middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        if not self.total:
            return "–"
        low, high = self.interval
        return f"{self.share:.1%} [{low:.0%}, {high:.0%}] of {self.total}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the guard said of one injection."""

    injection: Injection
    right: bool
    """A flag of the error's kind was raised that the clean report hadn't raised."""
    any: bool
    """A flag of whatever kind was."""


def check(report: Report) -> tuple[Flag, ...]:
    """The guard as it is called for a draft."""
    return check_draft(
        report.impression,
        report.findings,
        indication=report.indication,
        comparison=report.comparison,
        sex=report.sex,
        modality=report.modality,
        age=report.age,
    )


def judge(injection: Injection, guard: Check = check) -> Outcome:
    """Whether the error was seen; the clean report's own flags don't count."""
    before = Counter((flag.kind, flag.message) for flag in guard(injection.clean))
    raised = Counter((flag.kind, flag.message) for flag in guard(injection.report)) - before
    kinds = {kind for kind, _ in raised}
    return Outcome(injection=injection, right=injection.kind in kinds, any=bool(kinds))


def rate_recall(outcomes: Collection[Outcome]) -> tuple[Rate, Rate]:
    """With a flag of the right kind, and with any flag."""
    total = len(outcomes)
    return Rate(hits=sum(o.right for o in outcomes), total=total), Rate(hits=sum(o.any for o in outcomes), total=total)


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """What the guard said of one clean report."""

    report: Report
    flags: tuple[Flag, ...]

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(flag.kind for flag in self.flags)

    @property
    def critical_kinds(self) -> frozenset[str]:
        """The kinds of those flags that weigh most."""
        return frozenset(flag.kind for flag in self.flags if flag.severity is Severity.CRITICAL)


def listen(reports: Iterable[Report], guard: Check = check) -> list[Alarm]:
    """Every clean report with its flags."""
    return [Alarm(report=report, flags=guard(report)) for report in reports]


ANY_CRITICAL = "any critical"
CONTRADICTED = "any critical, kind critical aside"


def rate_alarms(alarms: Sequence[Alarm], kinds: Sequence[str]) -> dict[str, Rate]:
    """The share of clean reports that each kind flags, and of those with a flag of critical severity.

    The kind `critical` tells of a critical finding, which a clean report may hold: no false alarm. So the last row
    leaves it aside.
    """
    total = len(alarms)
    rates = {kind: Rate(hits=sum(kind in alarm.kinds for alarm in alarms), total=total) for kind in kinds}
    return rates | {
        ANY_CRITICAL: Rate(hits=sum(bool(alarm.critical_kinds) for alarm in alarms), total=total),
        CONTRADICTED: Rate(hits=sum(bool(alarm.critical_kinds - {"critical"}) for alarm in alarms), total=total),
    }


def time_checks(reports: Sequence[Report], rounds: int) -> dict[str, float]:
    """Median and 99th percentile, in milliseconds, over the reports with findings of 100 to 160 words."""
    typical = [r for r in reports if 100 <= len(r.findings.split()) <= 160] or list(reports)
    times = sorted(_time(report) for _ in range(rounds) for report in typical)
    return {
        "reports": len(typical),
        "words": median(len(r.findings.split()) for r in typical),
        "median_ms": median(times),
        "p99_ms": times[min(len(times) - 1, int(len(times) * 0.99))],
    }


def time_lengths(reports: Sequence[Report], factors: Sequence[int], rounds: int) -> list[dict[str, float]]:
    """The median time against the length: the findings and impressions of 1, 2, 4, … reports in one."""
    rows = []
    for factor in factors:
        findings = " ".join(r.findings for r in reports[:factor])
        impression = " ".join(r.impression for r in reports[:factor])
        long = Report(id=f"long-{factor}", source=reports[0].source, findings=findings, impression=impression)
        words = len(findings.split()) + len(impression.split())
        times = median(_time(long) for _ in range(rounds))
        rows.append({"reports": factor, "words": words, "median_ms": times, "us_per_word": 1e3 * times / words})
    return rows


def _time(report: Report) -> float:
    """Of the processor, so that what else runs on the machine isn't counted."""
    began = time.process_time()
    check(report)
    return 1e3 * (time.process_time() - began)
