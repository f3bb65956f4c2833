"""What a signed report may teach. The rules are data; here is how each is asked."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

from radbridge.candidates.normality import Normality
from radbridge.edit import REWRITTEN_FROM, Outcome
from radbridge.entities import read_entities
from radbridge.entities.labels import read_labels
from radbridge.guard import unsupported_words
from radbridge.learning.near import find_near
from radbridge.learning.report import TrainingReport, Use
from radbridge.text import FUNCTION_WORDS, read_words

Limits = Mapping[str, Any]
"""What `rules.toml` says beside a rule's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What no report tells by itself."""

    near: Collection[str] = field(default=frozenset())
    """The ids of reports that a newer one repeats."""


@cache
def load_rules() -> Mapping[str, Limits]:
    """The packaged rules, in the order of asking."""
    table = tomllib.loads(files(__package__).joinpath("rules.toml").read_text(encoding="utf-8"))
    return {name: {**limits, "use": Use(limits["use"])} for name, limits in table.items()}


def judge_reports(reports: Sequence[TrainingReport]) -> list[TrainingReport]:
    """One radiologist's reports with what each may teach, and which rule took something away."""
    limits = load_rules()["near_duplicate"]
    facts = Facts(near=find_near(reports, jaccard=limits["jaccard"], shingle=limits["shingle"]))
    return [_judge(report, facts) for report in reports]


def judge_use(report: TrainingReport, facts: Facts) -> tuple[Use, str]:
    """What the report may teach, and the name of the rule that decided; empty where none did."""
    for name, limits in load_rules().items():
        if PREDICATES[name](report, facts, limits):
            return limits["use"], name
    return Use.PREFERENCE, ""


def _judge(report: TrainingReport, facts: Facts) -> TrainingReport:
    use, why = judge_use(report, facts)
    return replace(report, use=use, why=why)


def _is_empty(report: TrainingReport) -> bool:
    return not (read_words(report.findings) and read_words(report.signed))


def _is_boilerplate(report: TrainingReport, limits: Limits) -> bool:
    return " ".join(read_words(report.signed)) in set[str](limits["phrases"])


def _is_foreign(report: TrainingReport, limits: Limits) -> bool:
    words = read_words(f"{report.findings}\n{report.signed}")
    return len(words) >= limits["words"] and _share(words) < float(limits["share"])


def _share(words: Iterable[str]) -> float:
    known = [word in FUNCTION_WORDS for word in words]
    return sum(known) / len(known)


def _calls_normal(report: TrainingReport) -> bool:
    """Whether nothing was named that is there, and something weighty is: who names it may call the rest normal."""
    if any(entity.present for entity in read_entities(report.signed).entities):
        return False
    normality = Normality.read(report.findings, read_entities(report.findings).entities)
    return not normality.allows(report.signed)


def _saw_more(report: TrainingReport) -> bool:
    """Whether a finding or a number was signed that no text of the case has."""
    sources = (report.findings, report.indication, report.comparison, report.prior)
    numbers = (word for word in unsupported_words(report.signed, *sources) if word[0].isdigit())
    return any(numbers) or not read_labels(report.signed) <= read_labels("\n".join(sources))


PREDICATES: Mapping[str, Callable[[TrainingReport, Facts, Limits], bool]] = {
    "no_consent": lambda report, facts, limits: not report.consent,
    "empty": lambda report, facts, limits: _is_empty(report),
    "too_short": lambda report, facts, limits: len(read_words(report.signed)) < limits["words"],
    "boilerplate": lambda report, facts, limits: _is_boilerplate(report, limits),
    "other_language": lambda report, facts, limits: _is_foreign(report, limits),
    "called_normal": lambda report, facts, limits: _calls_normal(report),
    "near_duplicate": lambda report, facts, limits: report.id in facts.near,
    "correction": lambda report, facts, limits: report.corrected,
    "blocked": lambda report, facts, limits: report.outcome == Outcome.BLOCKED,
    "not_seen": lambda report, facts, limits: report.outcome in ("", Outcome.IGNORED) or not report.draft,
    "image_evidence": lambda report, facts, limits: _saw_more(report),
    "rewritten": lambda report, facts, limits: (report.distance or 0.0) >= REWRITTEN_FROM,
    "accepted": lambda report, facts, limits: report.distance == 0.0,
}
"""One question a rule."""
