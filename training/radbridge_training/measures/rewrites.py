"""What is measured of the rewrites of a base and its LoRAs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import mean

from radbridge.guard import find_fault, unsupported_words
from radbridge.text import content_words, read_words
from radbridge_training.synth import rewrite
from radbridge_training.synth.words import load_table

_ITEM = re.compile(r"^(\d+)\. \S.*[.?!]$")
_LEAD_IN = re.compile(r"(?:^|[.] )(?:There (?:is|are)|The|An?) ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One statement, and what a model made of it."""

    statement: str = field(repr=False)
    draft: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """Shares from 0 to 1."""

    statements: int
    unsupported: float
    """Content words of the drafts that the statements don't hold, before any check."""
    refused: float
    """Drafts in whose place the statement stands: unsupported content, a number lost, a side changed, nothing."""
    style: float
    """Drafts that look like the persona's."""
    exact: float
    """Drafts equal to the rule's rewrite of the statement."""
    rare_copied: float
    """Words of the statements that the generator doesn't know, found again in the drafts."""
    refusals: tuple[tuple[Case, str], ...] = field(repr=False)


def measure(cases: Sequence[Case], persona: str) -> Measures:
    """The measures of `cases`, whose drafts are in the style of `persona`."""
    refusals = [(case, why) for case in cases if (why := find_refusal(case))]
    words = sum(len(content_words(case.draft)) for case in cases)
    rare = [(w, set(read_words(case.draft))) for case in cases for w in read_words(case.statement) if _is_rare(w)]
    style = "neutral" if persona == "base" else persona
    return Measures(
        statements=len(cases),
        unsupported=sum(len(unsupported_words(case.draft, case.statement)) for case in cases) / max(1, words),
        refused=len(refusals) / len(cases),
        style=mean(_STYLES[persona](case.draft) for case in cases),
        exact=mean(case.draft == rewrite([case.statement], style) for case in cases),
        rare_copied=mean(word in draft for word, draft in rare) if rare else 1.0,
        refusals=tuple(refusals),
    )


def find_refusal(case: Case) -> str:
    """Why the model server would refuse the draft; empty when it wouldn't."""
    return find_fault(case.draft, case.statement) if case.draft else "it is empty"


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
