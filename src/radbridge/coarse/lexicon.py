"""The vocabulary of findings and cues, read once from the package's TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeVar

from radbridge.text import read_words, stem

T = TypeVar("T")
Key = tuple[str, ...]
WEIGHTS = {"critical": 3.0, "major": 2.0, "minor": 1.0, "expected": 0.5}


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """A finding, whatever its synonym: `embolism` for "pulmonary embolus". `weight`: one of `WEIGHTS`."""

    name: str
    weight: float


class PhraseTable(Generic[T]):
    """Phrases by their first word, so that a text is matched in one pass, longest phrase first."""

    def __init__(self, phrases: Iterable[tuple[Key, T]]) -> None:
        self._by_first: dict[str, list[tuple[Key, T]]] = {}
        for key, value in phrases:
            self._by_first.setdefault(key[0], []).append((key, value))
        for entries in self._by_first.values():
            entries.sort(key=lambda entry: -len(entry[0]))

    def match_at(self, words: list[str], at: int) -> tuple[int, T] | None:
        """The longest phrase that begins at word `at`: the index after it, and its value."""
        for key, value in self._by_first.get(words[at], ()):
            end = at + len(key)
            if len(key) == 1 or tuple(words[at:end]) == key:
                return end, value
        return None

    def find(self, words: list[str]) -> list[tuple[int, int, T]]:
        """Every phrase in `words`, left to right, none inside another: start, end, value."""
        found: list[tuple[int, int, T]] = []
        at = 0
        while at < len(words):
            if match := self.match_at(words, at):
                found.append((at, match[0], match[1]))
                at = match[0]
            else:
                at += 1
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Lexicon:
    """Every table, keyed as its matching needs: findings by stems, cues by plain words."""

    findings: PhraseTable[Concept]
    negation_before: PhraseTable[bool]
    negation_after: PhraseTable[bool]
    """Also holds the phrases that deny nothing (`no change`), with the value False."""
    negation_ends: PhraseTable[bool]
    organs: PhraseTable[bool]
    """Organs whose size alone is no finding."""
    normal: PhraseTable[bool]
    """Normal cues, and with the value False what spoils them."""
    abnormal: frozenset[str]
    """Stems that describe something abnormal."""
    grading: frozenset[str]
    """Stems that say how much of it there is."""
    uncertain: PhraseTable[bool]
    change: PhraseTable[bool]
    recommendation: PhraseTable[bool]
    technique: PhraseTable[bool]
    implied: dict[str, tuple[str, ...]]
    """A complaint's word, and the findings it makes one ask about."""
    asked_as: dict[str, str]
    """How a question abbreviates a finding, and the finding."""
    asked_organs: dict[str, tuple[str, ...]]
    """A finding asked about, and the words that answer when they are called normal."""
    misplaced: frozenset[str]
    """Words that make a device misplaced."""
    lead_ins: tuple[str, ...]
    tails: tuple[str, ...]


@cache
def load_lexicon() -> Lexicon:
    """The package's vocabulary; read on first use."""
    cues = _read_toml("cues.toml")
    negation = cues["negation"]
    questions = _read_toml("questions.toml")
    return Lexicon(
        findings=PhraseTable(_concepts(_read_toml("findings.toml"))),
        negation_before=_table(negation["before"], negation["false"]),
        negation_after=_table(negation["after"], negation["false"]),
        negation_ends=_table(negation["ends"]),
        normal=_table(cues["normal"]["cues"], cues["normal"]["spoilers"]),
        organs=_table(cues["normal"]["organs"]),
        abnormal=frozenset(stem(w) for w in cues["abnormal"]["words"]),
        grading=frozenset(stem(w) for w in cues["abnormal"]["grading"]),
        uncertain=_table(cues["uncertain"]["words"]),
        change=_table(cues["change"]["words"]),
        recommendation=_table(cues["recommendation"]["phrases"]),
        technique=_table(cues["technique"]["phrases"]),
        implied={word: tuple(row["asks"]) for row in questions["implied"] for word in row["words"]},
        asked_as=questions["synonyms"],
        asked_organs={name: tuple(words) for name, words in questions["organs"].items()},
        misplaced=frozenset(cues["device"]["misplaced"]),
        lead_ins=tuple(sorted(cues["style"]["lead_ins"], key=len, reverse=True)),
        tails=tuple(sorted(cues["style"]["tails"], key=len, reverse=True)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Regions:
    """Words of a body region or part, and its name."""

    region: PhraseTable[str]
    part: PhraseTable[str]


@cache
def load_regions() -> Regions:
    """The package's body regions; read on first use."""
    table = _read_toml("regions.toml")
    return Regions(region=_named(table["region"]), part=_named(table["part"]))


def _named(table: Mapping[str, list[str]]) -> PhraseTable[str]:
    return PhraseTable((tuple(read_words(term)), name) for name, terms in table.items() for term in terms)


def _read_toml(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _table(phrases: Iterable[str], false: Iterable[str] = ()) -> PhraseTable[bool]:
    return PhraseTable(
        [*((tuple(read_words(p)), True) for p in phrases), *((tuple(read_words(p)), False) for p in false)]
    )


def _concepts(table: Mapping[str, Mapping[str, list[str]]]) -> Iterable[tuple[Key, Concept]]:
    for tier, concepts in table.items():
        for name, terms in concepts.items():
            concept = Concept(name=name, weight=WEIGHTS[tier])
            for key in {tuple(stem(w) for w in read_words(term)) for term in terms}:
                yield key, concept
