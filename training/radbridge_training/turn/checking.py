"""Whether a radiologist's reports give anything to train on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from radbridge.errors import NothingToLearn
from radbridge.learning import PreferenceExample, TrainingReport, Use
from radbridge_training.turn.plan import Reason

_MOST_BY_RULE = 0.5
"""Share of the reports that one of these rules may take away."""
_BY_RULE = {
    "other_language": Reason.LANGUAGE,
    "empty": Reason.EMPTY,
    "too_short": Reason.EMPTY,
    "boilerplate": Reason.EMPTY,
    "near_duplicate": Reason.ALIKE,
    "no_consent": Reason.CONSENT,
}
_ALIKE = 0.95
"""Share of the reports that say the same, beyond which nothing but that one text would be learned."""
_LEAST_REPEATS = 20
_MOST_CONTRADICTING = 0.4


def check_reports(reports: Sequence[TrainingReport], *, least: int) -> None:
    """Raises NothingToLearn with the reason for which nothing can be learned from these reports.

    Where `least` of them are left, it doesn't matter how many the rules took away.
    """
    taken = Counter(_BY_RULE[report.why] for report in reports if report.why in _BY_RULE and report.use is Use.NONE)
    left = sum(report.use is not Use.NONE for report in reports)
    for reason, count in taken.most_common(1):
        if left < least and count > _MOST_BY_RULE * len(reports):
            raise NothingToLearn(reason)
    texts = Counter(" ".join(r.signed.casefold().split()) for r in reports if r.use is not Use.NONE)
    if not texts or texts.most_common(1)[0][1] >= _ALIKE * texts.total():
        raise NothingToLearn(Reason.ALIKE)


def check_examples(examples: Iterable[PreferenceExample]) -> None:
    """Raises NothingToLearn where there is no example, or where their answers contradict each other.

    They do where the same statement was signed in other words than mostly, in most of those that came again and again.
    """
    ways: defaultdict[str, Counter[str]] = defaultdict(Counter)
    count = 0
    for example in examples:
        count += 1
        ways[example.statement][example.chosen] += 1
    if not count:
        raise NothingToLearn(Reason.NOT_ALIGNED)
    ways.pop("", None)  # whole texts: no two cases are the same
    repeats = sum(said.total() - 1 for said in ways.values())
    others = sum(said.total() - said.most_common(1)[0][1] for said in ways.values())
    if repeats >= _LEAST_REPEATS and others >= _MOST_CONTRADICTING * repeats:
        raise NothingToLearn(Reason.CONTRADICTING)
