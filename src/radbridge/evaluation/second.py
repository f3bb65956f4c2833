"""A second checker of drafts, which shares no code and no word list with the guard.

What is rewarded in training is the guard's opinion, so a policy may learn the guard's blind spots. This checker reads
otherwise (`claims`). Where it errs, it errs alike for every arm of a comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from radbridge.evaluation.claims import (
    NORMAL,
    Claim,
    State,
    find_told,
    name_findings,
    read_claims,
    read_sizes,
    read_traits,
)
from radbridge.evaluation.measure import Figure, ratio
from radbridge.evaluation.rows import Pair
from radbridge.evaluation.second_words import load_words

_ALLOWED = {
    State.PRESENT: frozenset((State.PRESENT,)),
    State.POSSIBLE: frozenset((State.PRESENT, State.POSSIBLE)),
}
"""By what a draft says: what the findings must say. To be less sure than they are is allowed; to be surer isn't."""
_LESS: Literal["less"] = "less"


class SecondChecker:
    """Mean counts of what drafts get wrong, make up and leave out, by claims that are read without the guard."""

    name = "second"
    typecode: Literal["f"] = "f"
    width = 5
    figures = (
        Figure(
            name="second_wrong",
            title="Contradicted, by the second checker",
            estimate=ratio(2, 1),
            better=_LESS,
            unit="count",
            part="content",
        ),
        Figure(
            name="second_invented",
            title="Found nowhere, by the second checker",
            estimate=ratio(3, 1),
            better=_LESS,
            unit="count",
            part="content",
        ),
        Figure(
            name="second_left_out",
            title="Left out, by the second checker",
            estimate=ratio(4, 0),
            better=_LESS,
            unit="count",
            part="content",
        ),
    )

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """One, whether there is a draft, and what of it is wrong, made up and left out."""
        for pair in pairs:
            told, draft = pair.reference, pair.draft.draft
            sources = f"{told.findings}\n{told.indication}\n{told.comparison}"
            known = name_findings(read_claims(sources))
            said = name_findings(read_claims(draft))
            wrong = find_wrong(draft, told.findings) - read_sizes(sources)
            left_out = find_told(told.impression) - find_told(draft)
            yield 1.0, float(bool(draft.strip())), len(wrong), len(said - known), len(left_out)


def find_wrong(draft: str, findings: str) -> frozenset[str]:
    """What the draft says that the findings contradict: findings, parts called normal, traits, numbers."""
    said, told = read_claims(draft), read_claims(findings)
    wrong = {claim.finding for claim in said if not _agrees(claim, [o for o in told if o.finding == claim.finding])}
    acute = {claim.finding for claim in said | told if claim.state is State.PRESENT}
    for name in (claim.finding for claim in said if claim.finding.startswith(NORMAL)):
        if not acute.isdisjoint(load_words().acute[name.removeprefix(NORMAL)]):
            wrong.add(name)
    return frozenset(wrong | _find_wrong_traits(draft, findings) | (read_sizes(draft) - read_sizes(findings)))


def _find_wrong_traits(draft: str, findings: str) -> set[str]:
    """Traits of another value than the findings tell of the same thing, where they tell one."""
    told: dict[tuple[str, str], set[str]] = {}
    for trait in read_traits(findings):
        told.setdefault((trait.what, trait.kind), set()).add(trait.value)
    for values in told.values():
        if values >= {"left", "right"}:
            values.add("both")
        if "both" in values:
            values |= {"left", "right"}
    return {
        f"{trait.kind} of {trait.what}"
        for trait in read_traits(draft)
        if (known := told.get((trait.what, trait.kind))) and trait.value not in known
    }


def _agrees(claim: Claim, told: Sequence[Claim]) -> bool:
    """Whether the findings, which say `told` of the same thing, allow a claim. They do where they say nothing."""
    there = [other for other in told if other.state is not State.ABSENT]
    if claim.state is State.ABSENT:
        denied = any(other.side in (claim.side, "", "both") for other in told if other.state is State.ABSENT)
        return denied or not any(_may_meet(claim.side, other.side) for other in there)
    allowed = [other.side for other in there if other.state in _ALLOWED[claim.state]]
    if claim.side == "both":
        return not told or bool({"both", ""} & set(allowed)) or {"left", "right"} <= set(allowed)
    return not told or any(_may_meet(claim.side, side) for side in allowed)


def _may_meet(side: str, other: str) -> bool:
    return not side or side in (other, "both") or other in ("", "both")
