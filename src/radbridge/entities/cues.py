"""The cues of `cues.toml`, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from radbridge.entities.entity import Certainty, Trend
from radbridge.text import read_words
from radbridge.text.phrases import Phrase, PhraseTable, make_cues
from radbridge.text.vocabulary import read_toml


@dataclass(frozen=True, kw_only=True, slots=True)
class Cues:
    """What turns an entity."""

    doubt_before: PhraseTable[Certainty]
    doubt_after: PhraseTable[Certainty]
    past_before: PhraseTable[bool]
    past_after: PhraseTable[bool]
    trends: PhraseTable[Trend | None]
    """None: it looks like one and is none."""
    severity: PhraseTable[int]
    count: PhraseTable[int]
    more: PhraseTable[bool]
    clause: PhraseTable[bool]


@cache
def load_cues() -> Cues:
    """The cues; read on first use."""
    table = read_toml(__package__, "cues.toml")
    past = table["past"]
    doubt = ((Certainty.POSSIBLE, table["possible"]), (Certainty.LIKELY, table["likely"]))
    return Cues(
        doubt_before=PhraseTable((p, c) for c, t in doubt for p in _phrases(t["before"])),
        doubt_after=PhraseTable((p, c) for c, t in doubt for p in _phrases(t["after"])),
        past_before=make_cues(past["before"], past["false"]),
        past_after=make_cues(past["after"]),
        trends=PhraseTable(_trends(table)),
        severity=_grades(table["severity"]),
        count=_grades(table["count"]),
        more=make_cues(table["more"]["phrases"]),
        clause=make_cues(table["clause"]["starts"]),
    )


def _trends(table: Mapping[str, Any]) -> Iterator[tuple[Phrase, Trend | None]]:
    for trend in (Trend.NEW, Trend.KNOWN, Trend.STABLE, Trend.BETTER, Trend.WORSE, Trend.RESOLVED):
        yield from ((phrase, trend) for phrase in _phrases(table[trend]["phrases"]))


def _grades(table: Mapping[str, list[str]]) -> PhraseTable[int]:
    return PhraseTable((phrase, int(grade)) for grade, words in table.items() for phrase in _phrases(words))


def _phrases(texts: list[str]) -> list[Phrase]:
    return [tuple(read_words(text)) for text in texts]
