"""The coarse stage: picks, ranks and compresses what matters in the findings. No weights, no model."""

from __future__ import annotations

from radbridge.coarse.normal import phrase_normal
from radbridge.coarse.question import read_question
from radbridge.coarse.reader import read_findings
from radbridge.coarse.statement import CoarseDraft, Kind, Statement
from radbridge.text import MAX_CHARS, read_words

MAX_STATEMENTS = 7
WORDS_LEAST, WORDS_MOST, WORDS_SHARE = 40, 90, 0.4
"""How long a draft may get: a share of the findings' words, within bounds."""
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
    statements = read_findings(findings, read_question(indication))
    words = read_words(findings)
    picked = _pick(statements, len(words))
    if not any(s.score >= WORTH_A_LINE and s.kind is not Kind.ANSWER for s in picked):
        picked = _add_normal(picked, statements, phrase_normal(words, modality))
    return CoarseDraft(text=" ".join(s.text for s in picked), statements=tuple(picked))


def _pick(statements: list[Statement], findings_words: int) -> list[Statement]:
    """The statements that matter most, within the length allowed: critical ones first, the rest as they were said."""
    ranked = sorted((s for s in statements if s.score > 0), key=lambda s: (-s.score, s.index))
    best = ranked[0].score if ranked else 0.0
    least = WORTH_A_LINE if best >= MAJOR else INCIDENTAL if best >= INCIDENTAL else 0.0
    budget = min(WORDS_MOST, max(WORDS_LEAST, int(WORDS_SHARE * findings_words)))
    picked: list[Statement] = []
    for statement in ranked:
        length = len(statement.text.split())
        if statement.score < least or len(picked) == MAX_STATEMENTS:
            break
        if not picked or length <= budget:
            picked.append(statement)
            budget -= length
    return sorted(picked, key=lambda s: (s.score < CRITICAL, s.index))


def _add_normal(picked: list[Statement], statements: list[Statement], phrase: str) -> list[Statement]:
    """The answers, a normal impression where the findings call something normal, then what is incidental."""
    if not any(s.kind in (Kind.NORMAL, Kind.ANSWER) for s in statements):
        return picked
    normal = Statement(text=phrase, kind=Kind.NORMAL, score=0.0, index=len(statements))
    answers = [s for s in picked if s.kind is Kind.ANSWER]
    return [*answers, normal, *(s for s in picked if s.score >= INCIDENTAL and s.kind is not Kind.ANSWER)]
