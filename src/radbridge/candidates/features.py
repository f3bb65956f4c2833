"""What the chooser sees of a candidate: how usual it is here, whether the findings back it, what it leaves out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from radbridge.candidates.candidate import Candidate, ReadText, read_text
from radbridge.candidates.gathering import Case
from radbridge.candidates.pool import SitePool
from radbridge.retrieval.overlap import lcs_f1, unigram_f1
from radbridge.text import stem

FEATURES: Mapping[str, str] = {
    "like_near": "longest common sequence with the neighbours' impressions, weighted by how alike the findings are",
    "words_near": "the same for words in any order",
    "same_near": "the neighbours' share of just this text",
    "like_ten": "longest common sequence with the impressions of the ten nearest, all alike",
    "like_coarse": "longest common sequence with what the findings themselves state",
    "likeness": "cosine of the findings that it was signed for; 0 for a text that was put together",
    "signed": "log of 1 + how often the site signed just this text",
    "words": "its words, in tens",
    "log_words": "log of 1 + its words",
    "is_list": "1 for a numbered list",
    "list_near": "1 for a numbered list, times the neighbours' share of them",
    "is_plain": "1 where it names no finding",
    "plain_near": "1 where it names no finding, times the neighbours' share of such texts",
    "plain_despite": "1 where it names no finding, times the findings that this site is likely to take up",
    "named": "findings that it names",
    "expected": "of the findings that it names: how likely this site takes them up, summed",
    "missed": "of the findings that it leaves out: how likely this site takes them up, summed",
    "missed_most": "of the findings that it leaves out: the likeliest",
    "foreign": "share of its content words that neither findings nor indication hold",
    "changes": "words of change, such as stable or new, that the findings don't hold",
    "case_plain": "of the case: the neighbours' share of impressions without a finding",
    "case_nearest": "of the case: cosine of the nearest report's findings",
    "case_expected": "of the case: the findings that this site is likely to take up",
    "case_list": "of the case: the neighbours' share of numbered lists",
}
"""Each feature with its meaning, in the order of the numbers. Shares of neighbours are weighted by likeness."""
_SHARPNESS = 8.0
"""How fast the weight of a neighbour falls with its likeness."""
_TEN = 10
_SELDOM = 1 / 3
"""How often a finding is taken up that the site never had."""
_SITE_COUNTS = 2.0
"""How many of the nearest reports the whole site's habit counts as much as."""
_CHANGES = frozenset(
    map(stem, "stable unchanged new interval improved worsening increased decreased persistent again resolved".split())
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """What all candidates of a case are held against."""

    near: Sequence[tuple[ReadText, float]] = field(repr=False)
    """The neighbours' impressions and their weights, together 1."""
    chances: Mapping[str, float]
    """For each finding of the case, how likely the site takes it up."""
    nearest: float

    @property
    def plain(self) -> float:
        return sum(weight for read, weight in self.near if not read.labels)

    @property
    def listed(self) -> float:
        return sum(weight for read, weight in self.near if read.is_listed)


def describe(
    case: Case, pool: SitePool, taken_up: Mapping[str, float], *, without: int | None = None
) -> list[list[float]]:
    """For each candidate the numbers that `FEATURES` names.

    `taken_up` is the share of the site's impressions that name a finding, of the reports whose findings do; `without`
    the number of the case's own report, where the pool holds that.
    """
    view = _look(case, taken_up)
    about = [view.plain, view.nearest, sum(view.chances.values()), view.listed]
    return [
        [
            *_compare(c, case, view),
            math.log1p(pool.count(c.text, without=without)),
            *_judge(c, case, view, about),
            *about,
        ]
        for c in case.candidates
    ]


def _look(case: Case, taken_up: Mapping[str, float]) -> _View:
    nearest = max((n.likeness for n in case.neighbours), default=0.0)
    weights = [math.exp(_SHARPNESS * (n.likeness - nearest)) for n in case.neighbours]
    signed = [read_text(n.report.impression) for n in case.neighbours]
    near = [(read, weight / sum(weights)) for read, weight in zip(signed, weights, strict=True)]
    chances = {label: _expect(label, case, weights, taken_up) for label in sorted(case.findings.labels)}
    return _View(near=near, chances=chances, nearest=nearest)


def _expect(label: str, case: Case, weights: Sequence[float], taken_up: Mapping[str, float]) -> float:
    """How likely the impression names a finding: as reports like this one did, and the whole site where few had it."""
    held, taken = _SITE_COUNTS, _SITE_COUNTS * taken_up.get(label, _SELDOM)
    for neighbour, weight in zip(case.neighbours, weights, strict=True):
        if label in neighbour.report.named:
            held += weight
            taken += weight * (label in read_text(neighbour.report.impression).labels)
    return taken / held


def _compare(candidate: Candidate, case: Case, view: _View) -> Sequence[float]:
    """`like_near` to `likeness`."""
    words = candidate.read.words
    return (
        sum(weight * lcs_f1(words, read.words) for read, weight in view.near),
        sum(weight * unigram_f1(words, read.words) for read, weight in view.near),
        sum(weight for read, weight in view.near if read.text == candidate.text),
        sum(lcs_f1(words, read.words) for read, _ in view.near[:_TEN]) / _TEN,
        lcs_f1(words, case.coarse.words),
        candidate.likeness,
    )


def _judge(candidate: Candidate, case: Case, view: _View, about: Sequence[float]) -> Sequence[float]:
    """`words` to `changes`."""
    read, size = candidate.read, len(candidate.read.words.ordered)
    is_plain, is_list = not read.labels, read.is_listed
    plain_near, _, expected, list_near = about
    missed = [chance for label, chance in view.chances.items() if label not in read.labels]
    strange = read.content - case.findings.content - case.indication.content
    return (
        size / 10,
        math.log1p(size),
        is_list,
        is_list * list_near,
        is_plain,
        is_plain * plain_near,
        is_plain * expected,
        len(read.labels),
        sum(chance for label, chance in view.chances.items() if label in read.labels),
        sum(missed),
        max(missed, default=0.0),
        len(strange) / max(1, len(read.content)),
        len(strange & _CHANGES),
    )
