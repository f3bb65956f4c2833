"""The cues of `cues.toml`, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from radbridge.entities.entity import Certainty, Trend
from radbridge.text import read_words
from radbridge.text.phrases import Phrase, PhraseTable, make_cues
from radbridge.text.vocabulary import load_vocabulary, read_toml, spell_out


@dataclass(frozen=True, kw_only=True, slots=True)
class Cues:
    """What turns an entity."""

    doubt_before: PhraseTable[Certainty]
    """Definite: it looks like doubt and is none."""
    doubt_after: PhraseTable[Certainty]
    either: PhraseTable[bool]
    """What makes the mention right before it one of several possible ones."""
    past_before: PhraseTable[bool]
    past_after: PhraseTable[bool]
    trends: PhraseTable[Trend | None]
    """None: it looks like one and is none."""
    severity: PhraseTable[int]
    count: PhraseTable[int]
    more: PhraseTable[bool]
    clause: PhraseTable[bool]
    answers: frozenset[str]
    """What says nothing but whether the thing in its heading is there."""


@cache
def load_cues() -> Cues:
    """The cues; read on first use."""
    table = read_toml(__package__, "cues.toml")
    past, likely, shared = table["past"], table["likely"], load_vocabulary()
    possible = {where: tuple(spell_out(phrases, table["lists"])) for where, phrases in table["possible"].items()}
    return Cues(
        doubt_before=_doubts((*possible["before"], *shared.open_before), likely["before"], possible["none"]),
        doubt_after=_doubts((*possible["after"], *shared.open_after), likely["after"]),
        either=make_cues(possible["either"], possible["not_either"]),
        past_before=make_cues(past["before"], past["false"]),
        past_after=make_cues(past["after"]),
        trends=PhraseTable(_trends(table)),
        severity=_grades(table["severity"]),
        count=_grades(table["count"]),
        more=make_cues(table["more"]["phrases"]),
        clause=make_cues(table["clause"]["starts"]),
        answers=frozenset(table["answers"]["words"]),
    )


def _doubts(possible: Iterable[str], likely: Iterable[str], none: Iterable[str] = ()) -> PhraseTable[Certainty]:
    by = ((Certainty.POSSIBLE, possible), (Certainty.LIKELY, likely), (Certainty.DEFINITE, none))
    return PhraseTable((phrase, certainty) for certainty, texts in by for phrase in _phrases(texts))


def _trends(table: Mapping[str, Any]) -> Iterator[tuple[Phrase, Trend | None]]:
    for trend in (Trend.NEW, Trend.KNOWN, Trend.STABLE, Trend.BETTER, Trend.WORSE, Trend.RESOLVED):
        yield from ((phrase, trend) for phrase in _phrases(spell_out(table[trend]["phrases"], table["lists"])))
    yield from ((phrase, None) for phrase in _phrases(table["no_trend"]["phrases"]))


def _grades(table: Mapping[str, list[str]]) -> PhraseTable[int]:
    return PhraseTable((phrase, int(grade)) for grade, words in table.items() for phrase in _phrases(words))


def _phrases(texts: Iterable[str]) -> list[Phrase]:
    return [tuple(read_words(text)) for text in texts]
