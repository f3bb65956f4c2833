"""The gate's judgement of one candidate: sums of rows in, a verdict out. No text, no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from radbridge.errors import ConfigError
from radbridge.evaluation.measure import Figure, Numbers
from radbridge.evaluation.resample import draw_all, interval, sum_rows
from radbridge.evaluation.sums import Rows, Table
from radbridge_training.gate.arms import Arm
from radbridge_training.gate.figures import BlockingKinds
from radbridge_training.gate.rules import Difference, FlagKinds, Limit, Regressed, Rules

VERDICT_FILE = "verdict.json"
JUDGED = "judged"
"""The rule that fails where nothing could be judged."""
_UNDEFINED = "isn't defined on these reports"
_EQUAL = 0.0005
"""Differences below it are told as none: the third decimal is the last that is shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One rule, looked at."""

    rule: str
    passed: bool
    told: str
    """What was found, in fixed words and numbers."""
    against: str = ""
    """The arm that the candidate was compared with; empty: none."""
    value: float | None = None
    """The candidate's figure, or how much worse it is than that of the arm."""
    bound: float | None = None
    """How much worse it may be, to the rule's level."""
    limit: float | None = None

    @property
    def name(self) -> str:
        """The rule, and against whom."""
        return f"{self.rule} against {self.against}" if self.against else self.rule


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a candidate may be published."""

    owner: str
    passed: bool
    findings: tuple[Finding, ...]
    reports: int
    """Later reports that it was judged on."""
    seed: int

    @property
    def reason(self) -> str:
        """The rules that failed, in words that may be logged; empty when none did."""
        return "; ".join(f"{f.name}: {f.told}" for f in self.findings if not f.passed)

    @property
    def is_none(self) -> bool:
        """Whether nothing could be judged: weights that can't be read, a full disk. It says nothing of the drafts."""
        return any(finding.rule == JUDGED for finding in self.findings)


VERDICT: TypeAdapter[Verdict] = TypeAdapter(Verdict)


def read_verdict(folder: Path) -> Verdict:
    """The verdict in a gate's folder. Raises ConfigError when there is none."""
    try:
        return VERDICT.validate_json((folder / VERDICT_FILE).read_bytes())
    except (OSError, ValueError):
        raise ConfigError([f"{folder}: no verdict of the gate in it; run `radbridge train gate` first"]) from None


def judge(
    tables: Mapping[Arm, Table],
    rules: Rules,
    *,
    owner: str,
    seed: int,
    marked: bool = False,
    others: Sequence[Finding] = (),
) -> Verdict:
    """What the rules say of the candidate beside the arms that are there; `others` were found without tables.

    `marked`: the champion learned from something that was withdrawn, and has to be replaced.
    """
    findings = (
        *_judge_differences(tables, rules, seed=seed, marked=marked),
        _judge_regressed(tables, rules.regressed),
        _judge_kinds(tables, rules.flag_kinds),
        *_judge_limits(tables, rules.hacking),
        *others,
    )
    rows = next(iter(tables[Arm.CANDIDATE].columns.values()))
    return Verdict(owner=owner, passed=all(f.passed for f in findings), findings=findings, reports=len(rows), seed=seed)


def _judge_differences(tables: Mapping[Arm, Table], rules: Rules, *, seed: int, marked: bool) -> Iterator[Finding]:
    for name, rule in rules.difference.items():
        margin = rule.margin_marked if marked and rule.margin_marked is not None else rule.margin
        for arm in (arm for arm in rule.against if arm in tables):
            sides = _Sides.of(rule.figure, tables[Arm.CANDIDATE], tables[arm], less=rule.better == "less")
            yield _judge_difference(name, rule, arm, sides, margin=margin, draws=rules.draws, seed=seed)
        for arm in (arm for arm in rule.never_worse if arm in tables):
            worse = _Sides.of(rule.figure, tables[Arm.CANDIDATE], tables[arm], less=rule.better == "less").worse
            yield Finding(
                rule=name,
                passed=not worse > rule.slack,
                told=f"{_say_worse(worse)}; may be worse by {rule.slack:.3f}",
                against=arm,
                value=_known(worse),
                limit=rule.slack,
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Sides:
    """One figure of the candidate and of another arm, over the same reports."""

    figure: Figure
    own: Rows
    other: Rows
    less: bool
    """Whether less is better."""

    @classmethod
    def of(cls, name: str, candidate: Table, arm: Table, *, less: bool) -> _Sides:
        (figure, own), (_, other) = candidate.figure(name), arm.figure(name)
        return cls(figure=figure, own=own, other=other, less=less)

    @property
    def worse(self) -> float:
        """How much worse the candidate's figure is; NaN where it isn't defined."""
        return float(self._worse(sum_rows(self.own), sum_rows(self.other)))

    def bound(self, level: float, draws: int, seed: int) -> float | None:
        """How much worse it may be, to a one-sided `level`; the draws of both arms take the same reports."""
        own, other = draw_all([self.own, self.other], draws=draws, seed=seed)
        return interval(self.worse, self._worse(own, other), level=2 * level - 1).high

    def spare(self) -> _Sides:
        """The same without the one report that tells the most against the candidate."""
        own, other = self.own.astype(np.float64), self.other.astype(np.float64)
        left = self._worse(own.sum(axis=0) - own, other.sum(axis=0) - other)
        if np.isnan(left).all():
            return self
        place = int(np.nanargmin(left))
        return replace(self, own=np.delete(self.own, place, axis=0), other=np.delete(self.other, place, axis=0))

    def _worse(self, own: Numbers, other: Numbers) -> Numbers:
        difference = self.figure.estimate(own) - self.figure.estimate(other)
        return difference if self.less else -difference


def _judge_difference(
    name: str, rule: Difference, arm: Arm, sides: _Sides, *, margin: float, draws: int, seed: int
) -> Finding:
    worse = sides.worse
    if np.isnan(worse):
        return Finding(rule=name, passed=True, told=_UNDEFINED, against=arm, limit=margin)
    bound = sides.bound(rule.level, draws, seed)
    worst = worse if bound is None else bound
    wanted = f"worse by less than {margin:.3f}" if margin else "better"
    told = f"{_say_worse(worse)}, with {100 * rule.level:g} % certainty {_say_worse(worst)} at worst; must be {wanted}"
    passed = worst < margin
    if not passed and rule.spare_one and len(sides.own) > 1:
        rest = sides.spare()
        left = rest.bound(rule.level, draws, seed)
        passed = left is None or left < margin
        told += f"; without one report {_UNDEFINED if left is None else f'{_say_worse(left)} at worst'}"
    return Finding(rule=name, passed=passed, told=told, against=arm, value=worse, bound=bound, limit=margin)


def _say_worse(worse: float) -> str:
    if abs(worse) < _EQUAL:
        return "equal"
    return f"{'worse' if worse > 0 else 'better'} by {abs(worse):.3f}"


def _judge_regressed(tables: Mapping[Arm, Table], rule: Regressed) -> Finding:
    """Whether there are reports that only the candidate gets wrong."""
    others = [table for arm, table in tables.items() if arm is not Arm.CANDIDATE]
    counts = {name: _count_alone(tables[Arm.CANDIDATE], others, name) for name in rule.figures}
    worst = max(counts.values(), default=0)
    told = ", ".join(f"{count} by {name}" for name, count in counts.items() if count) or "none"
    return Finding(rule="regressed", passed=worst <= rule.most, told=told, value=float(worst), limit=float(rule.most))


def _count_alone(candidate: Table, others: Sequence[Table], name: str) -> int:
    """Reports whose figure is above 0 for the candidate and for no other arm."""
    figure, own = candidate.figure(name)
    alone = figure.estimate(own.astype(np.float64)) > 0  # NaN, where it isn't defined, is not above
    for table in others:
        alone &= ~(figure.estimate(table.figure(name)[1].astype(np.float64)) > 0)
    return int(alone.sum())


def _judge_kinds(tables: Mapping[Arm, Table], rule: FlagKinds) -> Finding:
    """A kind that none of the arms' drafts has, and one of the candidate's does."""
    others = [tables[arm] for arm in rule.against if arm in tables]
    new = [
        figure.name
        for figure in BlockingKinds.figures
        if _value(tables[Arm.CANDIDATE], figure.name) > 0 and all(_value(t, figure.name) == 0 for t in others)
    ]
    told = f"new: {', '.join(new)}" if new else "none is new"
    return Finding(rule="flag_kinds", passed=not new, told=told, value=float(len(new)), limit=0.0)


def _judge_limits(tables: Mapping[Arm, Table], limits: Mapping[str, Limit]) -> Iterator[Finding]:
    beside = tables.get(Arm.WITHOUT, tables.get(Arm.BASE))
    for name, limit in limits.items():
        value = _value(tables[Arm.CANDIDATE], name)
        if np.isnan(value):
            yield Finding(rule=name, passed=True, told=_UNDEFINED, limit=limit.most)
            continue
        usual = value if beside is None else _value(beside, name)
        most = limit.most if beside is None or np.isnan(usual) else max(limit.most, usual)
        least = limit.least
        if least is not None and beside is not None and not np.isnan(usual):
            least = min(least, usual)
        is_low = least is not None and value < least
        told = f"{value:.3f}, at least {least:.3f}" if is_low else f"{value:.3f}, at most {most:.3f}"
        yield Finding(rule=name, passed=value <= most and not is_low, told=told, value=value, limit=most)


def _value(table: Table, name: str) -> float:
    figure, rows = table.figure(name)
    return float(figure.estimate(sum_rows(rows)))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
