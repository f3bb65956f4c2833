"""Whole reports: findings in an organ's order, the reason for the study, and the impression in each persona's style."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from radbridge.text import read_words
from radbridge_training.synth.grammar import Grammar, Kind, Statement, capitalize, regions
from radbridge_training.synth.style import PERSONAS, rewrite, shorten, tidy
from radbridge_training.synth.words import babble, invent_word, misspell, plain_word

_WILDNESS = (0.0, 0.0, 0.1, 0.3, 0.6, 1.0)
_MOST = 6
_WOMEN_ONLY = frozenset(("breast", "obstetric"))
_OTHER_SEX = {
    "F": frozenset(("prostate", "prostatomegaly")),
    "M": frozenset(
        "uterus uterine adnexa adnexal ovary ovarian ovaries fetal placenta placental cervix pregnancy".split()
    ),
}
_BABBLE = 0.3
_LEAD_IN = re.compile(r"^(?:There (?:is|are)|Again seen (?:is|are)) (?:an? |the |)")


@dataclass(frozen=True, kw_only=True, slots=True)
class SynthReport:
    """One generated report. All of it is invented; nothing in it is a patient's."""

    findings: str
    indication: str
    comparison: str
    modality: str
    """A DICOM modality."""
    sex: str
    age: int
    radiologist: str
    """An invented id, whose style is `persona`."""
    persona: str
    statements: tuple[str, ...] = field(repr=False)
    """What matters, in order: what a perfect coarse stage would pick."""
    impressions: dict[str, str] = field(repr=False)
    """The impression by persona."""

    @property
    def coarse(self) -> str:
        """The statements as one text."""
        return " ".join(self.statements)


def generate_reports(seed: int, count: int) -> Iterator[SynthReport]:
    """`count` reports; the same ones for the same seed."""
    rng = Random(seed)
    for _ in range(count):
        yield _write_report(rng)


def _write_report(rng: Random) -> SynthReport:
    region = rng.choice(regions())
    others = [r for r in regions() if r["name"] not in _WOMEN_ONLY]
    more = rng.sample(others, rng.choice((0, 0, 1, 2)))
    organs = tuple(organ for r in (region, *more) for organ in r["organ"])
    grammar = Grammar(rng=rng, organs=organs, wildness=rng.choice(_WILDNESS), habits=rng.choice((None, {})))
    age, sex = rng.randint(0, 99), "F" if region["name"] in _WOMEN_ONLY else rng.choice("FM")
    said = _dictate(grammar, sex)
    statements = tuple(_pick(grammar, region, said))
    persona = rng.choice(PERSONAS)
    return SynthReport(
        findings=" ".join(s.text for s in said),
        indication=_ask(grammar, region, age=age, sex=sex),
        comparison=grammar.fill(grammar.phrase("comparison")) if rng.random() < 0.6 else "",
        modality=rng.choice(region["studies"]),
        sex=sex,
        age=age,
        radiologist=f"{persona}-{rng.randint(1, 40)}",
        persona=persona,
        statements=statements,
        impressions={name: rewrite(statements, name) for name in PERSONAS},
    )


def _dictate(grammar: Grammar, sex: str) -> list[Statement]:
    """The findings, organ after organ; some organs are left out, and some get more than one statement."""
    rng = grammar.rng
    abnormal_share = rng.choice((0.0, 0.2, 0.4, 0.6, 0.8, 0.9))
    said: list[Statement] = []
    for organ in grammar.organs:
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3))):
            statement = grammar.state_abnormal(organ) if rng.random() < abnormal_share else grammar.state_normal(organ)
            if _OTHER_SEX[sex].isdisjoint(read_words(statement.text)):
                said.append(_distort(statement, grammar))
    if rng.random() < 0.1:
        said.append(grammar.state_advice())
    return said or [grammar.state_normal(grammar.organs[0])]


def _distort(statement: Statement, grammar: Grammar) -> Statement:
    """`statement` with some of its words replaced by any others, so that what follows what can't be guessed."""
    rng = grammar.rng
    if rng.random() > grammar.wildness:
        return statement
    if rng.random() < _BABBLE:
        return replace(statement, text=babble(rng))
    words = statement.text[:-1].split()
    share = rng.choice((0.1, 0.3, 0.6))
    for i, word in enumerate(words):
        if i and word.isalpha() and word not in _KEPT and rng.random() < share:
            words[i] = rng.choice((invent_word, plain_word, lambda r, w=word: misspell(w, r)))(rng)
    return replace(statement, text=" ".join(words) + ".")


_KEPT = frozenset("left right no not without is are was were there".split())


def _pick(grammar: Grammar, region: dict[str, Any], said: Sequence[Statement]) -> Iterator[str]:
    """What matters of what was said, the heaviest first; where nothing is abnormal, the answer to the question."""
    rng = grammar.rng
    heavy = sorted((s for s in said if s.kind is Kind.ABNORMAL), key=lambda s: -s.weight)[: rng.randint(2, _MOST)]
    advice = [s for s in said if s.kind is Kind.ADVICE]
    if not heavy:
        answers = [s for s in said if s.kind is Kind.NEGATIVE]
        heavy = answers[:1] if answers and rng.random() < 0.5 else []
    if not heavy:
        holes = {"answer": rng.choice(region["answers"])}
        yield grammar.fill(grammar.phrase("normal_answers"), holes)
    for statement in (*heavy, *advice):
        yield _strip(statement.text, rng)


def _strip(text: str, rng: Random) -> str:
    """`text` as a coarse stage would hand it on: mostly without its lead-in, now and then shorter or as it was."""
    draw = rng.random()
    if draw < 0.7:
        return tidy(_LEAD_IN.sub("", text))
    return shorten(text) if draw < 0.8 else text


def _ask(grammar: Grammar, region: dict[str, Any], *, age: int, sex: str) -> str:
    if grammar.rng.random() < 0.1:
        return ""
    reason, reason2 = grammar.rng.choice(region["reasons"]), grammar.rng.choice(region["reasons"])
    who = "female" if sex == "F" else "male"
    holes = {"age": str(age), "who": who, "reason": reason, "Reason": capitalize(reason), "reason2": reason2}
    return capitalize(grammar.fill(grammar.phrase("reason_frames"), holes))
