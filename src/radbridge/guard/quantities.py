"""Measurements and counts: what the draft gives must be what the sources give, to the draft's own rounding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import MANY, SIDES, Entity, EntityText, Measure, Statement
from radbridge.guard.bounds import is_denied, read_bound
from radbridge.guard.sources import Sources, flag, kind_of
from radbridge.guard.style import load_style
from radbridge.text import FUNCTION_WORDS

_ORDINALS = frozenset("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split())
_SUFFIXES = frozenset(("st", "nd", "rd", "th"))
_BETWEEN = frozenset(("and", *SIDES))
_NOUN_REACH = 5
"""The noun that is counted is the last of so many words, in one phrase."""


def check_measures(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each measurement that no source holds, or that the sources give of something else."""
    told = [(m, text) for text in sources.texts.values() for m in text.measures]
    seen: set[tuple[int, int]] = set()
    for measure in draft.measures:
        place = measure.start, measure.end
        if place in seen:
            continue
        alike = [(m, text) for m, text in told if m.quantity == measure.quantity]
        if not _is_told(measure, draft, alike):
            seen.add(place)
            # a limit is the writer's own criterion where nothing is told that it could contradict
            is_free = not alike and read_bound(measure, draft)
            severity = Severity.WARNING if is_free else Severity.CRITICAL
            message = f"the findings don't hold the measurement {measure.text!r}"
            yield flag(FlagKind.MEASUREMENT, severity, message, [place])
    for entity in draft.entities:
        yield from _check_owner(entity, draft, sources, seen)


def _is_told(measure: Measure, draft: EntityText, told: Sequence[tuple[Measure, EntityText]]) -> bool:
    """Whether a told value is the measure, or lies in the limit that it is; beside a like limit only that counts."""
    bound = read_bound(measure, draft)
    if bound is None:
        return any(measure.agrees(t) for t, _ in told)
    read = [(m, read_bound(m, text)) for m, text in told]
    if like := [limit for _, limit in read if limit and limit.is_like(bound)]:
        return bound in like
    return (bool(told) and is_denied(measure, draft)) or any(bound.holds(m, limit) for m, limit in read)


def _check_owner(entity: Entity, draft: EntityText, sources: Sources, seen: set[tuple[int, int]]) -> Iterator[Flag]:
    """A value that the findings hold, but of something else, while they give this thing another one."""
    own = [m for m in sources.same(entity.concept) if m.entity.measures] if entity.measures else []
    told = [t for n in {m.entity.statement for m in own} for t in sources.findings.measures_of(n)]
    for measure in entity.measures:
        place = measure.start, measure.end
        alike = [(t, sources.findings) for t in told if t.quantity == measure.quantity]
        if place not in seen and alike and not _is_told(measure, draft, alike):
            seen.add(place)
            message = f"the findings give {entity.concept.plain} another measurement than {measure.text!r}"
            yield flag(FlagKind.MEASUREMENT, Severity.WARNING, message, [place], [m.span for m in own[:1]])


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
    counting = [s for n, s in enumerate(draft.statements) if s.told.counts and n not in seen]
    yield from _check_nouns(counting, draft.text, sources)


def _check_nouns(draft: list[Statement], text: str, sources: Sources) -> Iterator[Flag]:
    """One flag for each noun, whatever it means, that the findings only count otherwise."""
    told: dict[str, set[int]] = {}
    listed: Counter[str] = Counter()
    for statement in sources.findings.statements if draft else ():
        for _, count, noun in _find_counted(statement, sources.findings.text):
            told.setdefault(noun, set()).add(count)
        for count, noun in _find_listed(statement):
            listed[noun] += count
            told.setdefault(noun, set()).update((count, listed[noun]))
    for statement in draft:
        for at, count, noun in _find_counted(statement, text):
            if noun in told and not any(_is_same_count(count, c) for c in told[noun]):
                message = "the findings count this otherwise"
                yield flag(FlagKind.COUNT, Severity.WARNING, message, [statement.phrasing.places[at]])


def _find_counted(statement: Statement, text: str) -> Iterator[tuple[int, int, str]]:
    """Each number of things: where it stands, how many they are, and the stem of the noun that they have.

    The noun ends before a side or a colon (`three lesions: right frontal`), and a side may stand before it.
    """
    phrasing, glue = statement.phrasing, load_style().glue
    words, places = phrasing.words, phrasing.places
    for start, end, count in statement.told.counts:
        noun = ""
        for at in range(end, min(end + _NOUN_REACH, len(words))):
            if words[at] in SIDES and not noun:
                continue
            is_next = at in phrasing.commas or ":" in text[places[at - 1][1] : places[at][0]]
            if is_next or words[at] in SIDES or words[at] in FUNCTION_WORDS or phrasing.stems[at] in glue:
                break
            noun = phrasing.stems[at]
        if noun and not noun[0].isdigit():
            yield start, count, noun


def _find_listed(statement: Statement) -> Iterator[tuple[int, str]]:
    """How many things a list of ordinals names, and the stem of their noun: `the 5th, 6th and 7th ribs`."""
    words = statement.phrasing.words
    named: set[str] = set()
    at = 0
    while at < len(words):
        if words[at] in _ORDINALS:
            named.add(words[at])
        elif words[at].isdecimal() and words[at + 1 : at + 2] and words[at + 1] in _SUFFIXES:
            named.add(words[at])
            at += 1
        elif named and words[at] not in _BETWEEN:
            if len(named) > 1:
                yield len(named), statement.phrasing.stems[at]
            named = set()
        at += 1


def _is_same_count(count: int, other: int) -> bool:
    return count == other or (MANY in (count, other) and max(count, other) > 1)
