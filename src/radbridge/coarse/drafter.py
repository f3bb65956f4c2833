"""The coarse stage: picks, ranks and compresses what matters in the findings. No weights, no model."""

from __future__ import annotations

from dataclasses import replace

from radbridge.coarse.classify import DIRECT
from radbridge.coarse.normal import phrase_normal
from radbridge.coarse.question import read_question
from radbridge.coarse.reader import read_findings
from radbridge.coarse.statement import CoarseDraft, Kind, Statement
from radbridge.entities import read_entities
from radbridge.text import MAX_CHARS, read_words

MAX_STATEMENTS = 7
MAX_IMPLIED = 2
"""Denials of what was not asked by name."""
WORDS_LEAST, WORDS_MOST, WORDS_SHARE = 40, 90, 0.5
"""How long a draft may get: a share of the findings' words, within bounds."""
SAID_AGAIN = 1.0
"""How much less a statement is worth that names no finding which those before it don't name."""
SAID_AGAIN = 1.0
"""How much less a statement is worth whose findings are all named by those before it."""
CRITICAL, MAJOR, WORTH_A_LINE, INCIDENTAL = 3.0, 2.0, 1.5, 1.0
"""From which score a statement comes first, pushes minor ones out, keeps a normal impression away, stands by one."""


def draft_coarse(
    findings: str,
    *,
    indication: str = "",
    comparison: str = "",
    modality: str = "",
    sex: str = "",
    age: int | None = None,
) -> CoarseDraft:
    """The impression that the findings themselves state, in their own words.

    Empty when the findings state nothing. `indication` decides which denials are answers worth a line, `modality`
    (DICOM) how a normal study is put; the rest of the case isn't used yet. Findings beyond `MAX_CHARS` aren't read.
    """
    findings = findings[:MAX_CHARS]
    statements = _limit_answers(read_findings(findings, read_question(indication)))
    words = read_words(findings)
    picked = _pick(statements, len(words))
    if not any(s.score >= WORTH_A_LINE and s.kind is not Kind.ANSWER for s in picked):
        picked = _add_normal(picked, statements, phrase_normal(words, modality))
    return CoarseDraft(text=" ".join(s.text for s in picked), statements=tuple(picked))


def _limit_answers(statements: list[Statement]) -> list[Statement]:
    """Of the denials that a complaint asks for only the first few: five of them are no impression."""
    implied = [s for s in statements if s.kind is Kind.ANSWER and s.score < DIRECT]
    dropped = {s.index for s in sorted(implied, key=lambda s: (-s.score, s.index))[MAX_IMPLIED:]}
    return [replace(s, score=0.0) if s.index in dropped else s for s in statements]


def _pick(statements: list[Statement], findings_words: int) -> list[Statement]:
    """The statements that matter most, within the length allowed: critical ones first, the rest as they were said."""
    best = max((s.score for s in statements), default=0.0)
    least = WORTH_A_LINE if best >= MAJOR else INCIDENTAL if best >= INCIDENTAL else 0.0
    left = [s for s in statements if s.score > 0 and s.score >= least]
    budget = min(WORDS_MOST, max(WORDS_LEAST, int(WORDS_SHARE * findings_words)))
    if len(left) > MAX_STATEMENTS or sum(_length(s) for s in left) > budget:
        left = _choose(left, budget)
    return sorted(left, key=lambda s: (s.score < CRITICAL, s.index))


def _choose(left: list[Statement], budget: int) -> list[Statement]:
    """As many of `left` as there is room for, always one; what repeats a finding waits for what names another."""
    findings = {s.index: _name_findings(s) for s in left}
    said: set[str] = set()

    def worth(statement: Statement) -> float:
        named = findings[statement.index]
        again = named and named <= said and statement.score < CRITICAL
        return statement.score - SAID_AGAIN if again else statement.score

    picked: list[Statement] = []
    while left and len(picked) < MAX_STATEMENTS:
        statement = max(left, key=lambda s: (worth(s), -s.index))
        left.remove(statement)
        if not picked or _length(statement) <= budget:
            picked.append(statement)
            said |= findings[statement.index]
            budget -= _length(statement)
    return picked


def _name_findings(statement: Statement) -> frozenset[str]:
    return frozenset(e.concept.name for e in read_entities(statement.text).entities if e.present)


def _length(statement: Statement) -> int:
    return len(statement.text.split())


def _add_normal(picked: list[Statement], statements: list[Statement], phrase: str) -> list[Statement]:
    """The answers, a normal impression where the findings call something normal, then what is incidental."""
    if not any(s.kind in (Kind.NORMAL, Kind.ANSWER) for s in statements):
        return picked
    normal = Statement(text=phrase, kind=Kind.NORMAL, score=0.0, index=len(statements))
    answers = [s for s in picked if s.kind is Kind.ANSWER]
    return [*answers, normal, *(s for s in picked if s.score >= INCIDENTAL and s.kind is not Kind.ANSWER)]
