"""Whole reports: findings in an organ's order, the reason for the study, and the impression in each persona's style."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from radbridge.text import content_words, read_words
from radbridge_training.synth.grammar import Grammar, Kind, Statement, capitalize
from radbridge_training.synth.layout import rewrite
from radbridge_training.synth.mixture import HOSPITAL, Mixture, Service, find_region
from radbridge_training.synth.persona import NAMED, Persona
from radbridge_training.synth.style import shorten
from radbridge_training.synth.truth import Matter, pick
from radbridge_training.synth.words import babble, draw_date, invent_word, misspell, plain_word

_WORDS_A_STATEMENT = 5.7  # of those drawn, some of which fall away
_SPREAD = 0.45  # of the length's logarithm
_LEAST_STATEMENTS, _MOST_STATEMENTS = 2, 60
_WOMEN_ONLY = frozenset(("breast", "obstetric"))
_OTHER_SEX = {
    "F": frozenset(("prostate", "prostatomegaly", "seminal")),
    "M": frozenset(
        "uterus uterine adnexa adnexal ovary ovarian ovaries fetal placenta placental cervix pregnancy".split()
    ),
}
_BABBLE = 0.3
_TALKATIVE = 2  # a reason for the study is the likelier the longer it is
_COMPARED = 0.6  # reports with a prior study
_ASKED = 0.7  # indications that ask for something by name


@dataclass(frozen=True, kw_only=True, slots=True)
class SynthReport:
    """One generated report. All of it is invented; nothing in it is a patient's."""

    findings: str
    indication: str
    comparison: str
    prior: str = field(repr=False)
    """The impression of the study that this one is compared with, as far as it matters here."""
    study: str
    """CT, MR, US, PET, MRA, fluoroscopy, XR, mammography or NM."""
    modality: str
    """A DICOM modality: an MRA's is MR."""
    body_system: str
    """Chest, abdomen, pelvis, neuro, spine, msk, breast or vascular."""
    sex: str
    age: int
    abnormal: bool
    """Whether anything abnormal was dictated."""
    institution: str
    radiologist: str
    """An invented id, of one institution and with one style."""
    style: Persona = field(repr=False)
    """The radiologist's."""
    statements: tuple[str, ...] = field(repr=False)
    """What matters, the weightiest first: what a perfect coarse stage would pick."""
    places: tuple[int, ...] = field(repr=False)
    """Where each of `statements` stood among the sentences of the findings."""
    matters: tuple[str, ...] = field(repr=False)
    """What `statements` was dictated as, in that order; what no sentence said stands as it is."""

    @property
    def persona(self) -> str:
        """The name of the radiologist's style."""
        return self.style.name

    @property
    def coarse(self) -> str:
        """The statements as one text."""
        return " ".join(self.statements)

    @property
    def impression(self) -> str:
        """What the radiologist signed."""
        return self.write_as(self.style)

    @property
    def impressions(self) -> dict[str, str]:
        """The impression by persona: the three that ship, and the radiologist's."""
        return {p.name: self.write_as(p) for p in (*NAMED.values(), self.style)}

    @property
    def key_phrases(self) -> tuple[str, ...]:
        """What matters in as few words as say it: what `expand` makes findings of."""
        return tuple(shorten(s).rstrip(".") for s in self.statements)

    def as_row(self, number: int) -> dict[str, Any]:
        """One line of references for `radbridge evaluate`, or of reports to draft."""
        plain = ("findings", "impression", "indication", "comparison", "prior", "modality", "study", "body_system")
        about = ("sex", "age", "abnormal", "institution", "radiologist", "persona")
        return {"id": str(number)} | {name: getattr(self, name) for name in plain + about}

    def write_as(self, persona: Persona) -> str:
        """What a radiologist with that style would have signed."""
        return rewrite(self.statements, persona, self.places)


def generate_reports(seed: int, count: int, mixture: Mixture = HOSPITAL) -> Iterator[SynthReport]:
    """`count` reports, one at a time; the same ones for the same seed and mixture."""
    rng = Random(seed)
    for _ in range(count):
        yield _write_report(rng, mixture)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Study:
    """What is known before anything is dictated."""

    service: Service
    region: dict[str, Any]
    sex: str
    age: int
    asked: tuple[str, ...]
    """What the indication asks about; nothing where it only tells a complaint."""


def _write_report(rng: Random, mixture: Mixture) -> SynthReport:
    study = _draw_study(rng, mixture)
    grammar = Grammar(
        rng=rng,
        organs=_find_organs(study, rng),
        wildness=rng.choice(mixture.wildness),
        habits=rng.choice((None, {})),
        compared=draw_date(rng) if rng.random() < _COMPARED else "",
    )
    said = _dictate(grammar, study, mixture)
    matters = list(pick(said, grammar, study.region, study.asked))
    institution, radiologist, persona = mixture.draw_reader(rng)
    return SynthReport(
        findings=" ".join(s.text for s in said),
        indication=_ask(grammar, study),
        comparison=_tell_comparison(grammar, study.service),
        prior=" ".join(told for told in grammar.before if _suits(told, study.sex)),
        study=study.service.name,
        modality=study.service.modality,
        body_system=study.region["system"],
        sex=study.sex,
        age=study.age,
        abnormal=any(s.kind is Kind.ABNORMAL for s in said),
        institution=institution,
        radiologist=radiologist,
        style=persona,
        statements=tuple(m.text for m in matters),
        places=tuple(m.place for m in matters),
        matters=tuple(said[m.place].text if m.place < len(said) else m.text for m in _in_order(matters)),
    )


def _in_order(matters: Iterable[Matter]) -> list[Matter]:
    return sorted(matters, key=lambda matter: matter.place)


def _draw_study(rng: Random, mixture: Mixture) -> _Study:
    service = mixture.draw_service(rng)
    region = find_region(rng.choices(list(service.regions), list(service.regions.values()))[0])
    return _Study(
        service=service,
        region=region,
        sex="F" if region["name"] in _WOMEN_ONLY else rng.choice("FM"),
        age=rng.randint(16, 50) if region["name"] == "obstetric" else rng.randint(0, 99),
        asked=tuple(rng.sample(region["answers"], rng.choice((1, 1, 2)))) if rng.random() < _ASKED else (),
    )


def _find_organs(study: _Study, rng: Random) -> tuple[dict[str, Any], ...]:
    beside = [*study.service.beside, *rng.sample(study.region["beside"], min(1, len(study.region["beside"])))]
    named = dict.fromkeys((study.region["name"], *(beside if rng.random() < 0.6 else study.service.beside)))
    return tuple(organ for name in named for organ in find_region(name)["organ"])


def _dictate(grammar: Grammar, study: _Study, mixture: Mixture) -> list[Statement]:
    """The findings, organ after organ: most of them normal, no sentence twice, in a man nothing of a woman's."""
    rng = grammar.rng
    wanted = round(mixture.words / _WORDS_A_STATEMENT * rng.lognormvariate(-(_SPREAD**2) / 2, _SPREAD))
    count = min(_MOST_STATEMENTS, max(_LEAST_STATEMENTS, wanted))
    order = sorted(rng.randrange(len(grammar.organs)) for _ in range(count))
    abnormal = 0 if rng.random() < mixture.normal else rng.choice((1, 2, 3, 3, 4, 5, 5, 6, 8))
    marked = set(rng.sample(range(count), min(abnormal, count)))
    said: dict[str, Statement] = {}
    for number, at in enumerate(order):
        state = grammar.state_abnormal if number in marked else grammar.state_normal
        statement = distort(state(grammar.organs[at]), grammar)
        if _suits(statement.text, study.sex):
            said.setdefault(statement.text, statement)
    if not marked or rng.random() < 0.5:
        said |= {denial.text: denial for denial in map(grammar.deny, study.asked)}
    if rng.random() < 0.15:
        advice = grammar.state_advice()
        said.setdefault(advice.text, advice)
    return _drop_contradicted(said.values()) or [grammar.state_normal(grammar.organs[0])]


def _suits(text: str, sex: str) -> bool:
    """Whether `text` names no organ of the other sex."""
    return _OTHER_SEX[sex].isdisjoint(read_words(text))


def _drop_contradicted(said: Iterable[Statement]) -> list[Statement]:
    """Without what denies, or calls normal, the very words that another statement affirms."""
    statements = list(said)
    affirmed = {w for s in statements if s.kind is Kind.ABNORMAL for w in content_words(s.text)}
    return [
        s
        for s in statements
        if s.kind is not Kind.NEGATIVE or affirmed.isdisjoint(w for w in content_words(s.text) if w not in _FRAMING)
    ]


_FRAMING = frozenset(content_words("evidence seen identified acute left right negative free"))


def distort(statement: Statement, grammar: Grammar) -> Statement:
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


def _ask(grammar: Grammar, study: _Study) -> str:
    """The clinical information; what it asks about is `study.asked`, where it asks."""
    if grammar.rng.random() < 0.05:
        return ""
    reason, reason2 = grammar.rng.sample(study.region["reasons"], 2)
    who = "female" if study.sex == "F" else "male"
    holes = {"age": str(study.age), "who": who, "reason": reason, "Reason": capitalize(reason), "reason2": reason2}
    told = holes | {"answer": " or ".join(study.asked)}
    frames = [f for f in grammar.phrases("reason_frames") if ("{answer}" in f) == bool(study.asked)]
    [frame] = grammar.rng.choices(frames, [len(f) ** _TALKATIVE for f in frames])
    return capitalize(grammar.fill(frame, told))


def _tell_comparison(grammar: Grammar, service: Service) -> str:
    if not grammar.compared:
        return grammar.rng.choice(grammar.phrases("no_comparison"))
    return grammar.fill(grammar.rng.choice(grammar.phrases("comparison")), {"study": service.study})
