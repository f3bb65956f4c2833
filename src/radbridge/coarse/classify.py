"""What a clause of the findings says, and how much it matters."""

from __future__ import annotations

import re
from dataclasses import dataclass

from radbridge.coarse.cues import load_cues
from radbridge.coarse.question import Question
from radbridge.coarse.statement import Kind
from radbridge.text import FUNCTION_WORDS, read_words, stem
from radbridge.text.scopes import Reading, read_statement
from radbridge.text.vocabulary import WEIGHTS, load_vocabulary

UNNAMED = 1.6
"""The score of what is neither named in the vocabulary nor called normal: it isn't dropped lightly."""
DIRECT, _OF_ORGAN, _IMPLIED = 3.5, 3.4, 2.6
"""Scores of an answer: to what was asked, of the organ that was asked about, to what a complaint implies."""
_DEVICE = 2.4
"""The score of a tube or line that is misplaced or that the study was made for."""
_MEASURED = re.compile(r"\d(?:\.\d+)?\s?(?:mm|cm)\b|\b[CTLS]\d{1,2}\b", re.IGNORECASE)
_BARE = 6
"""A clause of no more words that gives an organ's size says nothing else of it."""
_ASIDE = re.compile(r"\([^()]*\)")
_GRAVE = frozenset("severe severely marked markedly moderate advanced extensive new acute worsening worsened".split())
_GONE = frozenset(("resolved", "resolution", "removed", "removal", "cleared"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A clause judged. `affirms` and `denies` are names of findings."""

    kind: Kind
    score: float
    affirms: frozenset[str]
    denies: frozenset[str]


def classify(text: str, question: Question) -> Judgement:
    """The kind of the clause `text` and its score, given what the indication asks."""
    reading = read_statement(text)
    kind, score = _judge(text, reading, question)
    return Judgement(kind=kind, score=score, affirms=reading.affirms(), denies=reading.denies())


def _judge(text: str, reading: Reading, question: Question) -> tuple[Kind, float]:
    cues = load_cues()
    said = [w for i, w in enumerate(reading.words) if i not in reading.denied]
    weight = max((m.concept.weight for m in reading.mentions if not m.denied), default=0.0)
    passed = reading.denied.union(*(range(m.start, m.end) for m in reading.mentions), _called_normal(reading))
    signs = [w for i, w in enumerate(reading.words) if i not in passed and stem(w) in cues.abnormal]
    slight = weight < WEIGHTS["minor"] and not signs
    if frame := _judge_frame(reading, said, weight, slight=slight):
        return frame
    if "device" in reading.affirms() and ("device" in question.implied or not cues.misplaced.isdisjoint(reading.words)):
        return Kind.ABNORMAL, max(weight, _DEVICE)
    if slight and (answer := _answer(reading, question)):
        return Kind.ANSWER, answer
    if weight >= WEIGHTS["major"] or (weight and not _is_normal(text)):
        return Kind.ABNORMAL, max(weight, UNNAMED if signs else 0.0) + _emphasis(text, said, question)
    return _judge_unnamed(text, reading, said, signs, question)


def _judge_frame(reading: Reading, said: list[str], weight: float, *, slight: bool) -> tuple[Kind, float] | None:
    """What a clause that states no finding of this study is; None for one that may."""
    cues = load_cues()
    if cues.recommendation.find(said):
        return Kind.RECOMMENDATION, max(weight, WEIGHTS["major"])
    if slight and cues.technique.find(said):
        return Kind.TECHNIQUE, 0.0
    if reading.mentions and not _GONE.isdisjoint(reading.words):
        return Kind.CHANGE, max(weight, UNNAMED)
    return None


def _judge_unnamed(
    text: str, reading: Reading, said: list[str], signs: list[str], question: Question
) -> tuple[Kind, float]:
    """A clause that affirms no finding of the vocabulary, or an expected one that it calls normal."""
    if signs:
        return Kind.ABNORMAL, UNNAMED + 0.1 * min(len(signs), 4)
    if _is_normal(text) and not question.organs.isdisjoint(said):
        return Kind.ANSWER, _OF_ORGAN
    if reading.denied or _is_normal(text) or _is_organ_size(text, said):
        return Kind.NORMAL, 0.0
    if load_cues().change.find(said):
        return Kind.CHANGE, UNNAMED
    content = [w for w in said if w not in FUNCTION_WORDS and not w[0].isdigit()]
    return (Kind.ABNORMAL, UNNAMED) if len(content) > 1 else (Kind.TECHNIQUE, 0.0)


def _is_normal(text: str) -> bool:
    outside = _ASIDE.sub(" ", text) if "(" in text else text
    return any(good for _, _, good in load_cues().normal.find(read_words(outside)))


def _called_normal(reading: Reading) -> frozenset[int]:
    """Places of the words in which something is called normal: `enhance symmetrically`."""
    return frozenset(
        i for start, end, good in load_cues().normal.find(reading.words) if good for i in range(start, end)
    )


def _is_organ_size(text: str, said: list[str]) -> bool:
    sized = "measur" in text or (len(said) <= _BARE and _MEASURED.search(text))
    return bool(sized and load_cues().organs.find(said))


def _answer(reading: Reading, question: Question) -> float:
    """The score of what the clause denies as an answer, 0 when nobody asked."""
    denied = reading.denies() | {stem(reading.words[i]) for i in reading.denied}
    return DIRECT if denied & question.asked else _IMPLIED if denied & question.implied else 0.0


def _emphasis(text: str, said: list[str], question: Question) -> float:
    grading = load_vocabulary().grading
    return (
        0.3 * bool(_MEASURED.search(text))
        + 0.5 * (not _GRAVE.isdisjoint(said))
        + 0.5 * any(stem(w) in question.asked for w in said)
        + 0.1 * min(3, sum(stem(w) in grading for w in said))
    )
