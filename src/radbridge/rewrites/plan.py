"""What is asked of the model: which statements, in which order, each beside signed sentences like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from radbridge.coarse import Statement
from radbridge.example import StyleExample
from radbridge.prompt import PromptInput, shows_style
from radbridge.style import Hand, read_hand


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is rewritten for weights of one prompt version."""

    statements: tuple[str, ...] = field(repr=False)
    hand: Hand | None
    """How the signer writes, where such weights can be shown that: it is counted over every example."""


def plan_rewrites(statements: Sequence[Statement], examples: Sequence[StyleExample], version: str) -> Plan:
    """Those of the coarse `statements` that the signer of `examples` would say, in that signer's order."""
    hand = read_hand(examples) if shows_style(version) else None
    said = hand.arrange(statements) if hand else statements
    return Plan(statements=tuple(s.text for s in said), hand=hand)


def show(statement: str, plan: Plan, *, case: PromptInput, version: str) -> PromptInput:
    """What a prompt for one statement shows; of `case` the study alone, of which the statement is one of several.

    Weights of `p1` were trained to see a statement twice, as findings too; later ones see it once.
    """
    style = tuple(s.text for s in plan.hand.choose_style(statement)) if plan.hand else ()
    study = PromptInput(findings="", modality=case.modality, sex=case.sex, age=case.age)
    return replace(study, findings="" if shows_style(version) else statement, coarse=statement, style=style)
