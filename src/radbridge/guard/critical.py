"""Findings that somebody has to be told of at once: no error, but first in every queue."""

from __future__ import annotations

from collections.abc import Iterator

from radbridge.draft import Flag, FlagKind, Section, Severity, Span
from radbridge.entities import CRITICAL, Entity, EntityText, read_entities

MAX_READ_CHARS = 20_000
"""What is read to put a case in its queue: several times the longest findings, and others wait for the answer."""

_CRITICAL_IN = {"restricted_diffusion": "head"}
"""What isn't critical elsewhere: diffusion is restricted in every dense tumor."""


def mentions_critical(text: str) -> bool:
    """Whether `text` takes a critical finding to be there, be it possibly: pneumothorax, hemorrhage, torsion."""
    return any(map(_is_critical, read_entities(text, at_most=MAX_READ_CHARS, tier=CRITICAL).entities))


def note_critical(draft: EntityText, findings: EntityText) -> Iterator[Flag]:
    """One flag for each critical finding that either text takes to be there."""
    seen: set[str] = set()
    for section, text in ((Section.DRAFT, draft), (Section.FINDINGS, findings)):
        for entity in filter(_is_critical, text.entities):
            if entity.concept.name not in seen:
                seen.add(entity.concept.name)
                message = f"critical finding: {entity.concept.plain}"
                span = Span(section=section, start=entity.start, end=entity.end)
                yield Flag(kind=FlagKind.CRITICAL, message=message, severity=Severity.INFO, spans=(span,))


def is_critical(entity: Entity) -> bool:
    """Whether what an entity names is critical where it is."""
    if entity.concept.tier != CRITICAL:
        return False
    where = _CRITICAL_IN.get(entity.concept.name)
    sites = entity.around.sites if where else ()
    return not sites or any(s.name == where or where in s.within for s in sites)


def _is_critical(entity: Entity) -> bool:
    return entity.present and is_critical(entity)
