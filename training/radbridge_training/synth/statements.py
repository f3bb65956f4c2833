"""Single statements without end, such as a fine stage has to rewrite: plain ones, strange ones, and hard ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

from radbridge.coarse import draft_coarse
from radbridge.coarse.compress import compress
from radbridge_training.synth.grammar import Grammar, Statement, regions
from radbridge_training.synth.mixture import EVEN, HOSPITAL
from radbridge_training.synth.report import SynthReport, distort, generate_reports
from radbridge_training.synth.style import uncapitalize
from radbridge_training.synth.truth import strip_lead_in
from radbridge_training.synth.wording import is_advice, is_denial
from radbridge_training.synth.words import invent_word

_WILDNESS = (0.0, 0.0, 0.1, 0.3, 0.6, 1.0)
_ABNORMAL, _NORMAL = 0.62, 0.28  # what is left advises
_DENIED = 0.7  # of the normal ones
_REPORTS = 4  # of one mixture, one after the other
_REMARKED = 0.15  # abnormal ones that end in a remark, such as a change
_HARD = 0.2


def draw_statements(rng: Random) -> Iterator[str]:
    """Half from the grammar alone, half what the coarse stage makes of whole reports, as in serving."""
    while True:
        mixture = replace(rng.choice((EVEN, HOSPITAL)), words=90.0, wildness=(0.0, 0.0, 0.2, 0.5))
        for report in generate_reports(rng.getrandbits(40), _REPORTS, mixture):
            for statement in _pick(report):
                yield _harden(statement, rng)
                yield _harden(_draw(rng), rng)


def _pick(report: SynthReport) -> Iterator[str]:
    coarse = draft_coarse(
        report.findings, indication=report.indication, modality=report.modality, sex=report.sex, age=report.age
    )
    yield from (statement.text for statement in coarse.statements)
    yield from (text for text in report.statements if is_denial(text) or is_advice(text))


def _draw(rng: Random) -> str:
    grammar = Grammar(rng=rng, organs=tuple(rng.choice(regions())["organ"]), wildness=rng.choice(_WILDNESS))
    statement = distort(_state(grammar), grammar)
    if rng.random() < 0.5:
        return strip_lead_in(statement.text, rng)
    return compress(statement.text) or statement.text


def _state(grammar: Grammar) -> Statement:
    rng = grammar.rng
    organ, draw = rng.choice(grammar.organs), rng.random()
    if draw >= _ABNORMAL + _NORMAL:
        return grammar.state_advice()
    if draw >= _ABNORMAL:
        return _state_normal(grammar, organ)
    statement = grammar.state_abnormal(organ)
    if rng.random() < _REMARKED:
        tail = grammar.fill(grammar.phrase(rng.choice(("change", "inference"))))
        return replace(statement, text=f"{statement.text[:-1].split(',')[0]}, {tail}.")
    return statement


def _state_normal(grammar: Grammar, organ: dict[str, Any]) -> Statement:
    """Mostly a denial: what is called normal seldom comes into an impression."""
    statement = grammar.state_normal(organ)
    if grammar.rng.random() < _DENIED:
        while not is_denial(statement.text):
            statement = grammar.state_normal(organ)
    return statement


def _harden(statement: str, rng: Random) -> str:
    """Some statements with what makes a small model lose its place: a heading, a second sentence, words said twice."""
    return rng.choice(_HARDER)(statement, rng) if rng.random() < _HARD else statement


def _head(statement: str, rng: Random) -> str:
    level = f"{rng.choice('CTL')}{rng.randint(1, 6)}"
    heading = rng.choice((f"{level}-{rng.randint(2, 7)}", level, invent_word(rng).capitalize(), "Left", "Right"))
    return f"{heading}: {statement}"


def _add_sentence(statement: str, rng: Random) -> str:
    return f"{statement} {_draw(rng)}"


def _add_clause(statement: str, rng: Random) -> str:
    joint = rng.choice((" and ", ", and ", "; ", " with ", " as well as "))
    return f"{statement.rstrip('.')}{joint}{uncapitalize(_draw(rng))}"


def _echo(statement: str, rng: Random) -> str:
    """Some words in a row once more, with others behind them: `of the right lobe ... of the right node`."""
    words = statement.rstrip(".").split()
    start = rng.randrange(len(words))
    again = " ".join(words[start : start + rng.randint(1, 4)]).lower()
    return f"{' '.join(words)} {rng.choice(('and', 'in', 'of', 'near'))} {again} {invent_word(rng)}."


_HARDER: tuple[Callable[[str, Random], str], ...] = (_head, _add_sentence, _add_clause, _echo)
