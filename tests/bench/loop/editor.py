"""The factual editor: a radiologist who makes a draft true and complete enough, and then their own.

A pure function of draft, case and style, so that every way of drafting is edited by the same hand: what it has to
change is what that way would have cost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from radbridge.coarse import CoarseDraft, draft_coarse
from radbridge.coarse.question import read_question
from radbridge.coarse.reader import read_findings
from radbridge.guard import find_fault
from radbridge.guard.critical import mentions_critical
from radbridge.rewrites import split_signed
from radbridge.text import content_words
from radbridge_training.synth import SynthReport
from radbridge_training.synth.layout import rewrite
from radbridge_training.synth.persona import Persona

ALIKE = 0.5
"""Share of content words from which on a sentence is taken to say a statement."""
_SIDES = {"left": "right", "right": "left"}
_DENIAL = re.compile(r"\b(?:no|not|without|negative|free|absent|none|never)\b", re.IGNORECASE)


def edit(draft: str, case: SynthReport, persona: Persona) -> str:
    """What a radiologist of this style signs over `draft`; over an empty one, what they write by themselves.

    A sentence that the case holds stays, as the statement that it says; one that it doesn't hold goes. What is critical
    and missing comes in. Arrangement, wording and layout are the persona's.
    """
    coarse = read_coarse(case)
    known = list_known(case, coarse)
    said: list[str] = []
    for sentence in split_signed(draft or coarse.text, coarse.statements):
        statement = _find(sentence, [k for k in known if k not in said])
        if statement:
            said.append(statement)
    said += [s for s in case.statements if mentions_critical(s) and not any(_share(s, k) >= ALIKE for k in said)]
    return rewrite(said or known[:1], persona)


def read_coarse(case: SynthReport) -> CoarseDraft:
    """What the findings themselves state."""
    return draft_coarse(
        case.findings,
        indication=case.indication,
        comparison=case.comparison,
        modality=case.modality,
        sex=case.sex,
        age=case.age,
    )


def list_known(case: SynthReport, coarse: CoarseDraft) -> list[str]:
    """Neutral statements that are true of the case: read in the findings, or known to whoever invented it."""
    read = (s.text for s in (*coarse.statements, *read_findings(case.findings, read_question(case.indication))))
    return [s for s in dict.fromkeys((*read, *case.statements)) if s.strip(" .")]


def poison(signed: str) -> str:
    """The text of somebody who signs the other side and leaves every `no` out."""
    sides = re.sub(r"\b(left|right)\b", lambda m: _like(m[0], _SIDES[m[0].lower()]), signed, flags=re.IGNORECASE)
    return re.sub(r"\b[Nn]o (?:evidence of )?", "", sides)


def is_poisoned(sentence: str, statement: str) -> bool:
    """Whether a sentence is on another side than its statement, or leaves its denial out."""
    sides = [{w for w in content_words(text) if w in _SIDES} for text in (sentence, statement)]
    denials = [bool(_DENIAL.search(text)) for text in (sentence, statement)]
    return sides[0] != sides[1] or denials[0] < denials[1]


def _like(found: str, word: str) -> str:
    return word.upper() if found.isupper() else word.capitalize() if found[0].isupper() else word


def _find(sentence: str, statements: Sequence[str]) -> str:
    """The statement that a sentence says: one that it is a rewrite of, else the likest; empty where none is like it."""
    held = [s for s in statements if not find_fault(sentence, s)]
    best = max(held or statements, key=lambda s: _share(sentence, s), default="")
    return best if best and _share(sentence, best) >= ALIKE else ""


def _share(one: str, other: str) -> float:
    a, b = set(content_words(one)), set(content_words(other))
    return len(a & b) / max(1, len(a | b))
