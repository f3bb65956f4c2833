"""Where tubes and lines end: the draft may call no position good, or bad, that the findings don't."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import Entity, EntityText, Site, Statement
from radbridge.guard.sources import Mention, Sources, flag

_WELL = frozenset(
    """satisfactory appropriate good standard adequate correct expected proper acceptable optimal ideal usual
    satisfactorily appropriately well adequately correctly properly acceptably optimally""".split()
)
_PLACED = frozenset("position positions positioned positioning location placement placed".split())
_BADLY = frozenset(
    "malpositioned malposition misplaced mispositioned kinked kinking coiled coiling looped suboptimal too".split()
)
_AREAS = frozenset(("region", "tissue"))
"""Kinds of site that say where a device enters rather than where it ends: `right arm PICC`."""


def check_placement(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each device whose position the draft calls good or bad against the findings."""
    seen: set[str] = set()
    for entity in draft.entities:
        if not (entity.concept.is_device and entity.present) or entity.concept.name in seen:
            continue
        told = [m for m in sources.same(entity.concept) if m.entity.present]
        if found := _check(entity, draft.statements[entity.statement], told, sources.findings):
            seen.add(entity.concept.name)
            message, wrong = found
            yield flag(FlagKind.DEVICE, Severity.CRITICAL, message, [(entity.start, entity.end)], [wrong.span])


def _check(
    entity: Entity, said: Statement, told: Sequence[Mention], findings: EntityText
) -> tuple[str, Mention] | None:
    """What is wrong with the position, and the mention that tells another one."""
    name = entity.concept.plain
    bad = [m for m in told if _is_misplaced(m.entity, findings.statements[m.entity.statement])]
    if _is_well(said):
        is_good = any(_is_well(findings.statements[m.entity.statement]) for m in told)
        wrong = next((m for m in bad if not is_good and not _tells(entity, m)), None)
        return (f"the draft calls the position of {name} good, the findings don't", wrong) if wrong else None
    if told and not bad and _is_misplaced(entity, said):
        return f"the draft calls the position of {name} wrong, the findings don't", told[0]
    return None


def _is_well(statement: Statement) -> bool:
    """Whether it speaks of a good position: `satisfactory position`, `well positioned`."""
    words, denied = statement.phrasing.words, statement.phrasing.denial.words
    return any(
        word in _WELL and not _PLACED.isdisjoint(words[at + 1 : at + 3]) and at not in denied
        for at, word in enumerate(words)
    )


def _is_misplaced(entity: Entity, statement: Statement) -> bool:
    """Whether every place where it ends is a wrong one, or its statement says so."""
    bad = (at for at, word in enumerate(statement.phrasing.words) if word in _BADLY)
    if any(at not in statement.phrasing.denial.words for at in bad):
        return True
    ends = {site for site in entity.place.sites - _named_in(entity, statement) if site.kind not in _AREAS}
    return bool(ends) and all(_is_wrong(site, entity) for site in ends)


def _tells(entity: Entity, told: Mention) -> bool:
    """Whether the draft itself puts it there."""
    return any(_is_wrong(site, told.entity) for site in entity.around.sites)


def _is_wrong(site: Site, told: Entity) -> bool:
    return not told.concept.misplaced_at.isdisjoint((site.name, *site.within))


def _named_in(entity: Entity, statement: Statement) -> set[Site]:
    """The sites in the device's own name: `internal jugular catheter`."""
    places = statement.phrasing.places
    inside = range(entity.start, entity.end)
    return {site for start, _, site in statement.told.sites if places[start][0] in inside}
