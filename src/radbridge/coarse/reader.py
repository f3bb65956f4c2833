"""Reads findings into judged, compressed statements."""

from __future__ import annotations

import re
from dataclasses import replace

from radbridge.coarse.answers import cut_answer
from radbridge.coarse.classify import Judgement, classify
from radbridge.coarse.clauses import split_clauses, split_exception
from radbridge.coarse.compress import compress, drop_denied_tail
from radbridge.coarse.places import LEVEL, loses_place
from radbridge.coarse.question import Question
from radbridge.coarse.statement import Kind, Statement
from radbridge.text import label_sentences

_CONTINUES = re.compile(
    r"^(?:again,? |however,? )?(?:this|these|it|they)\s+(?:\w+\s+)?"
    r"(?:is|are|may|might|could|appears?|was|has|have|measures?|suggests?|likely|probably|represents?|extends?)\b",
    re.IGNORECASE,
)
_BARE = 2
"""A clause of no more words needs its heading to say what it is about: `Surgically absent`."""
_GOES_ON = (Kind.ABNORMAL, Kind.CHANGE)


def read_findings(findings: str, question: Question) -> list[Statement]:
    """The statements of `findings` in order. "This may be ..." is part of the statement before it."""
    statements: list[Statement] = []
    affirmed: set[str] = set()
    denials: dict[int, frozenset[str]] = {}
    for sentence in label_sentences(findings):
        for clause in _split(sentence.text, question):
            judged = classify(clause, question)
            text = _name_place(_shorten(clause, judged.kind), clause, sentence.label)
            affirmed |= judged.affirms
            if not text:
                continue
            if statements and _CONTINUES.match(clause) and judged.kind in _GOES_ON and statements[-1].kind in _GOES_ON:
                statements[-1] = _join(statements[-1], text, judged)
                continue
            if judged.kind is Kind.ANSWER:
                denials[len(statements)] = judged.denies
            statements.append(Statement(text=text, kind=judged.kind, score=judged.score, index=len(statements)))
    return [_drop_contradicted(s, denials.get(s.index, frozenset()) & affirmed) for s in statements]


def _split(sentence: str, question: Question) -> list[str]:
    """The clauses of a sentence, uncut where one that isn't normal would lose its side or level."""
    clauses = split_clauses(sentence)
    if any(loses_place(sentence, clause) and classify(clause, question).kind is not Kind.NORMAL for clause in clauses):
        clauses = [sentence]
    return [_keep_exception(clause, question) for clause in clauses]


def _keep_exception(clause: str, question: Question) -> str:
    """Of a normal clause with an exception only the exception, if that says where it is."""
    head, exception = split_exception(clause)
    if not exception or loses_place(clause, exception):
        return clause
    kinds = classify(head, question).kind, classify(exception, question).kind
    return exception if kinds == (Kind.NORMAL, Kind.ABNORMAL) else clause


def _shorten(clause: str, kind: Kind) -> str:
    if kind is Kind.ANSWER:
        return cut_answer(clause)
    return drop_denied_tail(compress(clause)) if kind is Kind.ABNORMAL else compress(clause)


def _name_place(text: str, clause: str, label: str) -> str:
    """`text` with the heading it stood under, where that alone says the side, the level or the subject."""
    bare = bool(label) and len(clause.split()) <= _BARE
    level = LEVEL.match(label)
    lost = bare or loses_place(label, clause) or (level and label.lower() not in clause.lower())
    if not text or not lost:
        return text
    return f"{label if level else label.capitalize()}: {text}"


def _join(before: Statement, text: str, judged: Judgement) -> Statement:
    kind = Kind.ABNORMAL if Kind.ABNORMAL in (before.kind, judged.kind) else before.kind
    return replace(before, text=f"{before.text} {text}", kind=kind, score=max(before.score, judged.score))


def _drop_contradicted(statement: Statement, contradicted: frozenset[str]) -> Statement:
    """An answer that denies what another statement affirms ("no right effusion") is no answer."""
    return replace(statement, kind=Kind.NORMAL, score=0.0) if contradicted else statement
