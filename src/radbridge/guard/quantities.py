"""Measurements and counts: what the draft gives must be what the sources give, to the draft's own rounding."""

from __future__ import annotations

from collections.abc import Iterator

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import MANY, Entity, EntityText, Measure
from radbridge.guard.sources import Mention, Sources, flag, kind_of


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
    for entity in draft.entities:
        if entity.count is None or not entity.present:
            continue
        told = [m for m in sources.same(entity.concept) if m.entity.count is not None and m.entity.present]
        if told and not any(_is_same_count(entity.count, m) for m in told):
            yield flag(
                kind_of(entity.concept, FlagKind.COUNT),
                Severity.WARNING,
                f"the findings count {entity.concept.plain} otherwise",
                [(entity.start, entity.end)],
                [m.span for m in told[:1]],
            )


def _is_same_count(count: int, told: Mention) -> bool:
    other = told.entity.count
    if other is None or count == other:
        return True
    return MANY in (count, other) and max(count, other) > 1
