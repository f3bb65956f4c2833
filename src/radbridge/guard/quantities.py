"""Measurements and counts: what the draft gives must be what the sources give, to the draft's own rounding."""

from __future__ import annotations

from collections.abc import Iterator

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import MANY, Entity, EntityText, Measure, Statement
from radbridge.guard.sources import Sources, flag, kind_of
from radbridge.guard.style import load_style
from radbridge.text import FUNCTION_WORDS

_NOUN_REACH = 5
"""The noun that is counted is the last of so many words, in one phrase."""


def check_measures(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each measurement that no source holds, or that the sources give of something else."""
    told = [m for text in sources.texts.values() for m in text.measures]
    seen: set[tuple[int, int]] = set()
    for measure in draft.measures:
        place = measure.start, measure.end
        if place not in seen and not any(measure.agrees(t) for t in told):
            seen.add(place)
            message = f"the findings don't hold the measurement {measure.text!r}"
            yield flag(FlagKind.MEASUREMENT, Severity.CRITICAL, message, [place])
    for entity in draft.entities:
        yield from _check_owner(entity, sources, seen)


def _check_owner(entity: Entity, sources: Sources, seen: set[tuple[int, int]]) -> Iterator[Flag]:
    """A value that the findings hold, but of something else, while they give this thing another one."""
    own = [m for m in sources.same(entity.concept) if m.entity.measures]
    told = [t for n in {m.entity.statement for m in own} for t in sources.findings.measures_of(n)]
    for measure in entity.measures:
        place = measure.start, measure.end
        if place in seen or not _is_foreign(measure, told):
            continue
        seen.add(place)
        message = f"the findings give {entity.concept.plain} another measurement than {measure.text!r}"
        yield flag(FlagKind.MEASUREMENT, Severity.WARNING, message, [place], [m.span for m in own[:1]])


def _is_foreign(measure: Measure, told: list[Measure]) -> bool:
    alike = [t for t in told if t.quantity == measure.quantity]
    return bool(alike) and not any(measure.agrees(t) for t in alike)


def check_counts(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each thing that the draft counts otherwise than the findings do."""
    seen: set[int] = set()
    for entity in draft.entities:
        if entity.count is None or not entity.present:
            continue
        told = [m for m in sources.same(entity.concept) if m.entity.count is not None and m.entity.present]
        if told and not any(_is_same_count(entity.count, m.entity.count or MANY) for m in told):
            seen.add(entity.statement)
            yield flag(
                kind_of(entity.concept, FlagKind.COUNT),
                Severity.WARNING,
                f"the findings count {entity.concept.plain} otherwise",
                [(entity.start, entity.end)],
                [m.span for m in told[:1]],
            )
    yield from _check_nouns([s for n, s in enumerate(draft.statements) if s.told.counts and n not in seen], sources)


def _check_nouns(draft: list[Statement], sources: Sources) -> Iterator[Flag]:
    """One flag for each noun, whatever it means, that the findings only count otherwise."""
    told: dict[str, set[int]] = {}
    for statement in sources.findings.statements if draft else ():
        for _, count, noun in _find_counted(statement):
            told.setdefault(noun, set()).add(count)
    for statement in draft:
        for at, count, noun in _find_counted(statement):
            if noun in told and not any(_is_same_count(count, c) for c in told[noun]):
                message = "the findings count this otherwise"
                yield flag(FlagKind.COUNT, Severity.WARNING, message, [statement.phrasing.places[at]])


def _find_counted(statement: Statement) -> Iterator[tuple[int, int, str]]:
    """Each number of things: where it stands, how many they are, and the stem of the noun that they have."""
    phrasing, glue = statement.phrasing, load_style().glue
    for start, end, count in statement.told.counts:
        noun = ""
        for at in range(end, min(end + _NOUN_REACH, len(phrasing.words))):
            if at in phrasing.commas or phrasing.words[at] in FUNCTION_WORDS or phrasing.stems[at] in glue:
                break
            noun = phrasing.stems[at]
        if noun and not noun[0].isdigit():
            yield start, count, noun


def _is_same_count(count: int, other: int) -> bool:
    return count == other or (MANY in (count, other) and max(count, other) > 1)
