"""What is measured of a set of drafts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import mean

from rouge_score.rouge_scorer import RougeScorer

from radbridge.coarse import draft_coarse
from radbridge.guard import find_fault, unsupported_words
from radbridge.prompt import PromptInput
from radbridge.text import content_words, read_words
from radbridge_training.synth import rewrite
from radbridge_training.synth.words import load_table

_ITEM = re.compile(r"^(\d+)\. \S.*[.?!]$")
_LEAD_IN = re.compile(r"(?:^|[.] )(?:There (?:is|are)|The|An?) ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A draft, what it was made from, and what was signed."""

    seen: PromptInput = field(repr=False)
    signed: str = field(repr=False)
    draft: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """Shares from 0 to 1."""

    drafts: int
    coarse_rouge1: float
    coarse_rouge_l: float
    rouge1: float
    """Of the draft as it would be delivered: the coarse text where the fine one is refused."""
    rouge_l: float
    unsupported: float
    """Content words of the fine texts found in neither findings, coarse text nor clinical information."""
    refused: float
    """Fine texts that would fall back: unsupported content, a number lost, a side changed, nothing written."""
    style: float
    """Fine texts that look like the persona's."""
    exact: float
    """Fine texts equal to the rule's rewrite of the coarse text."""
    rare_copied: float
    """Words of the coarse text that the generator doesn't know, found again in the fine text."""
    refusals: tuple[tuple[Case, str], ...] = field(repr=False)


def measure(cases: Sequence[Case], persona: str) -> Measures:
    """The measures of `cases`, whose drafts are in the style of `persona`."""
    refusals = [(case, why) for case in cases if (why := find_refusal(case))]
    refused = {id(case) for case, _ in refusals}
    delivered = [case.seen.coarse if id(case) in refused else case.draft for case in cases]
    coarse = [_rouge(case.signed, case.seen.coarse) for case in cases]
    fine = [_rouge(case.signed, text) for case, text in zip(cases, delivered, strict=True)]
    words = sum(len(content_words(case.draft)) for case in cases)
    rare = [(w, set(read_words(case.draft))) for case in cases for w in read_words(case.seen.coarse) if _is_rare(w)]
    return Measures(
        drafts=len(cases),
        coarse_rouge1=mean(r1 for r1, _ in coarse),
        coarse_rouge_l=mean(rl for _, rl in coarse),
        rouge1=mean(r1 for r1, _ in fine),
        rouge_l=mean(rl for _, rl in fine),
        unsupported=sum(len(_unsupported(case)) for case in cases) / max(1, words),
        refused=len(refused) / len(cases),
        style=mean(_STYLES[persona](case.draft) for case in cases),
        exact=mean(_is_exact(case, persona) for case in cases),
        rare_copied=mean(word in draft for word, draft in rare) if rare else 1.0,
        refusals=tuple(refusals),
    )


def find_refusal(case: Case) -> str:
    """Why the model server would refuse the fine text; empty when it wouldn't."""
    if not case.draft:
        return "it is empty"
    seen = case.seen
    return find_fault(case.draft, seen.coarse, seen.findings, seen.indication, seen.comparison)


def _unsupported(case: Case) -> list[str]:
    return unsupported_words(
        case.draft, case.seen.findings, case.seen.coarse, case.seen.indication, case.seen.comparison
    )


def _rouge(signed: str, draft: str) -> tuple[float, float]:
    scores = _scorer().score(signed, draft)
    return scores["rouge1"].fmeasure, scores["rougeL"].fmeasure


def _is_exact(case: Case, persona: str) -> bool:
    seen = case.seen
    statements = [
        s.text for s in draft_coarse(seen.findings, indication=seen.indication, comparison=seen.comparison).statements
    ]
    return case.draft == rewrite(statements, "neutral" if persona == "base" else persona)


def _is_numbered(text: str) -> bool:
    items = [_ITEM.match(line) for line in text.splitlines()]
    return bool(items) and [item and item[1] for item in items] == [str(i) for i in range(1, len(items) + 1)]


def _is_succinct(text: str) -> bool:
    return not _LEAD_IN.search(text) and "\n" not in text


def _is_elaborate(text: str) -> bool:
    """Nothing that starts as a bare negation, and no list."""
    return "\n" not in text and not re.search(r"(?:^|[.] )No [^.]*(?<! seen)(?<! identified)[.]$", text)


_STYLES: dict[str, Callable[[str], bool]] = {
    "numbered": _is_numbered,
    "succinct": _is_succinct,
    "elaborate": _is_elaborate,
    "base": bool,
}


def _is_rare(word: str) -> bool:
    return len(word) > 3 and word.isalpha() and word not in _known()


@cache
def _known() -> frozenset[str]:
    tables = " ".join(str(load_table(name)) for name in ("anatomy", "phrases", "words", "style"))
    return frozenset(read_words(tables))


@cache
def _scorer() -> RougeScorer:
    return RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
