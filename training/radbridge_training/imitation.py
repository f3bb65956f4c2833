"""The fine stage's task as it is served: one statement, and signed sentences that show how it is to be worded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

from radbridge.prompt import PromptInput, Template, build_prompt
from radbridge.style.sentences import StyleSentence, choose_style
from radbridge_training.synth import Part, Persona, draw_personas, rewrite
from radbridge_training.synth.persona import NEUTRAL
from radbridge_training.synth.statements import draw_statements
from radbridge_training.synth.wording import reword
from radbridge_training.task import Example

_POOL = 160  # statements that memories are drawn from
_RENEWED = 6  # of them with each persona
_MEMORIES = (4, 12, 24, 40)  # signed sentences that are remembered
_SHOWN = (2, 3, 3, 3, 4)
_LONGEST = 22  # words of a sentence that is shown
_A_PERSONA = 4  # statements in a row
_UNSHOWN = 0.08
_OTHERS = 0.5  # of a LoRA's examples
_TOLD = 0.7  # prompts that name the study
_MODALITIES = ("CT", "CT", "MR", "US", "CR")


def make_imitations(seed: int, template: Template = Template.PLAIN) -> Iterator[Example]:
    """Examples without end: a new training persona every few, now and then nobody's, who says it as it stands."""
    rng = Random(f"imitations {seed}")
    personas = draw_personas(rng.getrandbits(40), Part.TRAINING)
    statements = draw_statements(rng)
    pool = list(islice(statements, _POOL))
    for number, persona in enumerate(personas):
        for at, statement in enumerate(islice(statements, _RENEWED), number * _RENEWED):
            pool[at % _POOL] = statement
        memory = _remember(pool, persona, rng)
        for statement in islice(statements, _A_PERSONA):
            is_shown = rng.random() >= _UNSHOWN
            target = reword(statement, persona if is_shown else NEUTRAL)
            yield _make(statement, target, memory if is_shown else [], rng, template)


def make_own(seed: int, count: int, persona: Persona, template: Template = Template.PLAIN) -> Iterator[Example]:
    """`count` examples for a persona's LoRA: its own style where none is shown, and what is shown in the other half.

    So a LoRA that stands in for whoever has none doesn't keep them from being imitated.
    """
    rng = Random(f"imitations of {persona.name} {seed}")
    shown, statements = make_imitations(rng.getrandbits(40), template), draw_statements(rng)
    for _ in range(count):
        if rng.random() < _OTHERS:
            yield next(example for example in shown if "Style: " in example.prompt)
        else:
            statement = next(statements)
            yield _make(statement, rewrite([statement], persona), [], rng, template)


def _remember(pool: list[str], persona: Persona, rng: Random) -> list[StyleSentence]:
    short = [statement for statement in pool if len(statement.split()) <= _LONGEST]
    drawn = rng.sample(short, min(len(short), rng.choice(_MEMORIES)))
    return [StyleSentence(text=reword(statement, persona), id="") for statement in drawn]


def _make(statement: str, target: str, memory: list[StyleSentence], rng: Random, template: Template) -> Example:
    is_told = rng.random() < _TOLD
    seen = PromptInput(
        findings="",
        modality=rng.choice(_MODALITIES) if is_told else "",
        sex=rng.choice("FM") if is_told else "",
        age=rng.randint(0, 99) if is_told else None,
        coarse=statement,
        style=tuple(s.text for s in choose_style(statement, memory, rng.choice(_SHOWN))),
    )
    return Example(prompt=build_prompt(seen, template), target=f" {target}")
