"""Findings and devices that the draft makes up, and grave ones that it leaves out."""

from __future__ import annotations

from collections.abc import Iterator

from radbridge.draft import Flag, FlagKind, Section, Severity, Span
from radbridge.entities import CRITICAL, MAJOR, MINOR, Certainty, Concept, Entity, EntityText
from radbridge.guard.places import is_within
from radbridge.guard.sources import Sources, flag, kind_of, supported_by

_GRAVE = frozenset(("mass", "malignancy", "fracture", "aneurysm"))
"""With their kinds: what no impression leaves out, whatever else it tells."""


def check_support(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each finding or device stated as definite that no source mentions or makes likely."""
    seen: set[str] = set()
    for entity in draft.entities:
        name = entity.concept.name
        if name in seen or _is_supported(entity, draft, sources):
            continue
        seen.add(name)
        yield flag(
            kind_of(entity.concept, FlagKind.UNSUPPORTED),
            Severity.WARNING,
            f"the findings don't mention {entity.concept.plain}",
            [(entity.start, entity.end)],
        )


def check_omitted(draft: EntityText, findings: EntityText) -> Iterator[Flag]:
    """One flag for each critical or grave finding that the draft doesn't mention; one where it tells none at all."""
    covered = {name for e in draft.entities for name in (*supported_by(e.concept),)}
    said = {e.concept.name for e in draft.entities}
    missing: dict[str, Entity] = {}
    for entity in findings.entities:
        if entity.present and not _is_covered(entity.concept, covered, said):
            missing.setdefault(entity.concept.name, entity)
    critical = [e for e in missing.values() if e.concept.tier == CRITICAL]
    for entity in critical:
        yield _omitted(entity, Severity.CRITICAL)
    tells = any(e.present and e.concept.tier >= MINOR for e in draft.entities)
    important = [e for e in missing.values() if e.concept.tier == MAJOR and e.certainty is Certainty.DEFINITE]
    grave = [e for e in important if e.concept.name in _GRAVE or not _GRAVE.isdisjoint(e.concept.broader)]
    for entity in grave or (() if critical or tells else important[:1]):
        yield _omitted(entity, Severity.WARNING)


def _omitted(entity: Entity, severity: Severity) -> Flag:
    span = Span(section=Section.FINDINGS, start=entity.start, end=entity.end)
    message = f"the findings state {entity.concept.plain}, the draft doesn't"
    return flag(FlagKind.OMITTED, severity, message, [], [span])


def _is_covered(concept: Concept, covered: set[str], said: set[str]) -> bool:
    """Whether the draft speaks of it: by its name, as a kind, as what it is a kind of, or as what it is a sign of."""
    return concept.name in covered or not said.isdisjoint(supported_by(concept))


def _is_supported(entity: Entity, draft: EntityText, sources: Sources) -> bool:
    """Whether a mention claims nothing new: denied, doubted, minor, told, made likely, or told in other words.

    Other words are its own, anywhere, or a kin of it at its site: a `simple cyst` of the ovary for `ovarian cyst`.
    """
    if entity.certainty < Certainty.DEFINITE or entity.concept.tier < MINOR or sources.supporting(entity.concept):
        return True
    said = draft.text[entity.start : entity.end]
    if sources.hold_words(said) or sources.hold_parts(said):
        return True
    return any(is_within(entity.place, m.entity.around) for m in sources.akin(entity.concept))
