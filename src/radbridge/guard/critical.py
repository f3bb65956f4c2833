"""Findings that somebody has to be told of at once: no error, but first in every queue."""

from __future__ import annotations

from collections.abc import Iterator

from radbridge.draft import Flag, FlagKind, Section, Severity, Span
from radbridge.entities import CRITICAL, Entity, EntityText, read_entities

MAX_READ_CHARS = 20_000
"""What is read to put a case in its queue: several times the longest findings, and others wait for the answer."""


def mentions_critical(text: str) -> bool:
    """Whether `text` takes a critical finding to be there, be it possibly: pneumothorax, hemorrhage, torsion."""
    return any(map(_is_critical, read_entities(text, at_most=MAX_READ_CHARS).entities))


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


def _is_critical(entity: Entity) -> bool:
    return entity.present and entity.concept.tier == CRITICAL
