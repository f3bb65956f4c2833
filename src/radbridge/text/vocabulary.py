"""The vocabulary that the coarse stage and the guard share, read once from the package's TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from radbridge.text.phrases import Phrase, PhraseTable, make_cues
from radbridge.text.words import read_words, stem

WEIGHTS = {"critical": 3.0, "major": 2.0, "minor": 1.0, "expected": 0.5}


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """A finding, whatever its synonym: `embolism` for "pulmonary embolus". `weight`: one of `WEIGHTS`."""

    name: str
    weight: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """Findings are matched by stems, cues by plain words."""

    findings: PhraseTable[Concept]
    denials_before: PhraseTable[bool]
    """What denies the words after it; False for phrases that deny nothing (`no change`)."""
    denials_after: PhraseTable[bool]
    denial_ends: PhraseTable[bool]
    uncertain: PhraseTable[bool]
    grading: frozenset[str]
    """Stems that say how much of a finding there is."""


@cache
def load_vocabulary() -> Vocabulary:
    """The shared vocabulary; read on first use."""
    cues = read_toml(__package__, "cues.toml")
    denial = cues["denial"]
    return Vocabulary(
        findings=PhraseTable(_concepts(read_toml(__package__, "findings.toml"))),
        denials_before=make_cues(denial["before"], denial["false"]),
        denials_after=make_cues(denial["after"], denial["false"]),
        denial_ends=make_cues(denial["ends"]),
        uncertain=make_cues(cues["uncertain"]["phrases"]),
        grading=frozenset(stem(w) for w in cues["grading"]["words"]),
    )


def read_toml(package: str, name: str) -> dict[str, Any]:
    """A data file of a package."""
    return tomllib.loads(files(package).joinpath(name).read_text(encoding="utf-8"))


def _concepts(table: Mapping[str, Mapping[str, list[str]]]) -> Iterable[tuple[Phrase, Concept]]:
    for tier, concepts in table.items():
        for name, terms in concepts.items():
            concept = Concept(name=name, weight=WEIGHTS[tier])
            for phrase in {tuple(stem(w) for w in read_words(term)) for term in terms}:
                yield phrase, concept
