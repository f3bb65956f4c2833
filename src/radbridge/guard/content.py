"""Findings and devices that the draft makes up, and grave ones that it leaves out."""

from __future__ import annotations

from collections.abc import Iterator

from radbridge.draft import Flag, FlagKind, Section, Severity, Span
from radbridge.entities import MAJOR, MINOR, Certainty, Concept, Entity, EntityText
from radbridge.guard.absences import is_absence, tells_absence
from radbridge.guard.critical import is_critical
from radbridge.guard.sites import is_within
from radbridge.guard.sources import Mention, Sources, flag, is_asked, is_known, is_same, kind_of, supported_by

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
    missing: dict[str, Entity] = {}
    for entity in _find_untold(draft, findings):
        missing.setdefault(entity.concept.name, entity)
    critical = [e for e in missing.values() if is_critical(e)]
    for entity in critical:
        yield _omitted(entity, Severity.CRITICAL)
    told = {e.concept for e in draft.entities if e.present}
    tells = len(told) > 1 or any(concept.tier >= MINOR for concept in told)
    important = [e for e in missing.values() if e.concept.tier == MAJOR and e.certainty is Certainty.DEFINITE]
    grave = [e for e in important if e.concept.name in _GRAVE or not _GRAVE.isdisjoint(e.concept.broader)]
    for entity in grave or (() if critical or tells else important[:1]):
        yield _omitted(entity, Severity.WARNING)


def _omitted(entity: Entity, severity: Severity) -> Flag:
    span = Span(section=Section.FINDINGS, start=entity.start, end=entity.end)
    message = f"the findings state {entity.concept.plain}, the draft doesn't"
    return flag(FlagKind.OMITTED, severity, message, [], [span])


def _find_untold(draft: EntityText, findings: EntityText) -> Iterator[Entity]:
    """What the findings affirm and the draft doesn't speak of.

    It does by its name, as a kind, as what it is a kind of, or as what it is a sign of. A denial speaks of what it
    denies, and of no sign of that.
    """
    affirmed = [e for e in draft.entities if e.certainty > Certainty.DENIED]
    covered = {name for e in affirmed for name in supported_by(e.concept)}
    said = {e.concept.name for e in affirmed}
    denied = {e.concept.name for e in draft.entities if e.certainty is Certainty.DENIED}
    for entity in findings.entities:
        concept = entity.concept
        if not entity.present or concept.name in covered or not said.isdisjoint(supported_by(concept)):
            continue
        if denied.isdisjoint((concept.name, *concept.broader)) and not any(_is_kin(entity, e) for e in affirmed):
            yield entity


def _is_kin(entity: Entity, other: Entity) -> bool:
    """Whether the other is as grave a kind of the same at one place: `bleeding into the retroperitoneum`."""
    one, said = entity.concept, other.concept
    is_same_kind = bool(one.broader) and one.broader == said.broader and one.tier <= said.tier
    return is_same_kind and is_within(entity.place, other.place)


def _is_denied_sign(mention: Mention, concept: Concept) -> bool:
    """Whether it only denies a sign: `no filling defect` makes no embolism likely."""
    return mention.entity.certainty is Certainty.DENIED and not is_same(mention.entity.concept, concept)


def _vouches(mention: Mention, entity: Entity, draft: EntityText, sources: Sources) -> bool:
    """Whether a mention makes an entity of the draft true.

    One of the clinical information tells why the study was made, not what it shows: `pneumonia` over clear lungs. It
    vouches for what either text takes as known before.
    """
    if is_asked(mention):
        return False
    known = is_known(entity, draft) or is_known(mention.entity, sources.texts[mention.section])
    return known or mention.section is not Section.INDICATION


def _is_answered(concept: Concept, sources: Sources) -> bool:
    """Whether the findings affirm a sign of what it is a kind of: `filling defect`, where embolism is asked about."""
    signs = (m for wider in concept.broader for m in sources.supporting_name(wider))
    return any(m.section is Section.FINDINGS and m.entity.present for m in signs)


def _is_supported(entity: Entity, draft: EntityText, sources: Sources) -> bool:
    """Whether a mention claims nothing new: denied, doubted, minor, told, made likely, or told in other words.

    Other words are its own, anywhere, or a kin of it at its site: a `simple cyst` of the ovary for `ovarian cyst`.
    """
    if entity.certainty < Certainty.DEFINITE or entity.concept.tier < MINOR:
        return True
    supporting = [m for m in sources.supporting(entity.concept) if not _is_denied_sign(m, entity.concept)]
    if any(_vouches(m, entity, draft, sources) for m in supporting):
        return True
    if supporting and _is_answered(entity.concept, sources):
        return True
    said = draft.text[entity.start : entity.end]
    if is_absence(said):
        return tells_absence(entity, said, sources) is not None
    if sources.tell_words(said) or sources.hold_parts(said):
        return True
    return any(is_within(entity.place, m.entity.around) for m in sources.akin(entity.concept))
