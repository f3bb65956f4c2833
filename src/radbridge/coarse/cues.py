"""The coarse stage's own vocabulary, read once from the package's TOML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from radbridge.text.phrases import PhraseTable, make_cues
from radbridge.text.vocabulary import read_toml
from radbridge.text.words import read_words, stem


@dataclass(frozen=True, kw_only=True, slots=True)
class Cues:
    """How a statement is known for what it is, and made short."""

    normal: PhraseTable[bool]
    """False for what looks normal and isn't (`upper limits of normal`)."""
    organs: PhraseTable[bool]
    """Organs whose size alone is no finding."""
    abnormal: frozenset[str]
    """Stems that describe something abnormal without naming it."""
    change: PhraseTable[bool]
    recommendation: PhraseTable[bool]
    technique: PhraseTable[bool]
    misplaced: frozenset[str]
    """Words that make a device misplaced."""
    lead_ins: tuple[str, ...]
    tails: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """What clinical information asks, by its words."""

    implied: dict[str, tuple[str, ...]]
    """A complaint's word, and the findings it makes one ask about."""
    organs: dict[str, tuple[str, ...]]
    """A finding asked about, and the words that answer when they are called normal."""
    synonyms: dict[str, str]
    """How a question abbreviates a finding, and the finding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Regions:
    """What was examined, by the words that are used of it."""

    region: PhraseTable[str]
    part: PhraseTable[str]
    modality: dict[str, str]
    """Modalities whose normal impression has words of its own."""


@cache
def load_cues() -> Cues:
    """`cues.toml`; read on first use."""
    table = read_toml(__package__, "cues.toml")
    return Cues(
        normal=make_cues(table["normal"]["cues"], table["normal"]["spoilers"]),
        organs=make_cues(table["normal"]["organs"]),
        abnormal=frozenset(stem(w) for w in table["abnormal"]["words"]),
        change=make_cues(table["change"]["phrases"]),
        recommendation=make_cues(table["recommendation"]["phrases"]),
        technique=make_cues(table["technique"]["phrases"]),
        misplaced=frozenset(table["device"]["misplaced"]),
        lead_ins=tuple(sorted(table["style"]["lead_ins"], key=len, reverse=True)),
        tails=tuple(sorted(table["style"]["tails"], key=len, reverse=True)),
    )


@cache
def load_questions() -> Questions:
    """`questions.toml`; read on first use."""
    table = read_toml(__package__, "questions.toml")
    return Questions(
        implied={word: tuple(row["asks"]) for row in table["implied"] for word in row["words"]},
        organs={name: tuple(words) for name, words in table["organs"].items()},
        synonyms=table["synonyms"],
    )


@cache
def load_regions() -> Regions:
    """`regions.toml`; read on first use."""
    table = read_toml(__package__, "regions.toml")
    return Regions(region=_named(table["region"]), part=_named(table["part"]), modality=table["modality"])


def _named(table: Mapping[str, list[str]]) -> PhraseTable[str]:
    return PhraseTable((tuple(read_words(term)), name) for name, terms in table.items() for term in terms)
