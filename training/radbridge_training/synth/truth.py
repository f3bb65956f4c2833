"""What of dictated findings belongs into the impression: what a perfect coarse stage would pick."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from radbridge_training.synth.grammar import Grammar, Kind, Statement
from radbridge_training.synth.style import shorten, tidy

_MOST = 6
_WORTH_A_LINE = 0.9
_LEAD_IN = re.compile(r"^(?:There (?:is|are)|Again seen (?:is|are)) (?:an? |the |)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Matter:
    """A statement of the impression, and which sentence of the findings it is; what none of them says comes last."""

    text: str = field(repr=False)
    place: int


def pick(said: Sequence[Statement], grammar: Grammar, region: dict[str, Any], asked: Sequence[str]) -> Iterator[Matter]:
    """What matters, the weightiest first, then the denial of what was asked, then advice.

    Slight findings are said where there is nothing else; where nothing is abnormal, the answer to the question is.
    """
    rng = grammar.rng
    placed = list(enumerate(said))
    abnormal = sorted((p for p in placed if p[1].kind is Kind.ABNORMAL), key=lambda p: -p[1].weight)
    heavy = [p for p in abnormal if p[1].weight >= _WORTH_A_LINE][:_MOST] or abnormal[:2]
    answers = [p for p in placed if p[1].kind is Kind.NEGATIVE and any(a in p[1].text for a in asked)]
    advice = [p for p in placed if p[1].kind is Kind.ADVICE]
    if not heavy and not answers:
        holes = {"answer": " or ".join(asked) or rng.choice((region["answers"][0], rng.choice(region["answers"])))}
        yield Matter(text=grammar.fill(grammar.phrase("normal_answers"), holes), place=len(said))
    for place, statement in (*heavy, *answers, *advice):
        yield Matter(text=strip_lead_in(statement.text, rng), place=place)


def strip_lead_in(text: str, rng: Random) -> str:
    """`text` as a coarse stage would hand it on: mostly without its lead-in, now and then shorter or as it was."""
    draw = rng.random()
    if draw < 0.7:
        return tidy(_LEAD_IN.sub("", text))
    return shorten(text) if draw < 0.8 else text
