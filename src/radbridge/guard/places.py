"""Laterality and site: a place in the draft must be where the sources put the same thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import Entity, EntityText, Site, Statement
from radbridge.guard.counterparts import find_counterparts
from radbridge.guard.likeness import read_context
from radbridge.guard.sites import find_conflict, find_mirror, is_mirror, is_near
from radbridge.guard.sources import Mention, Sources, flag, is_same, kind_of
from radbridge.guard.wider import find_wider

_LEVEL = "level"
_PLACED = frozenset(("lobe", "segment", _LEVEL))
"""Kinds of site that no draft names unless the findings do."""
_PARTS = _PLACED | {"part", "vessel", "bone", "joint"}
"""Kinds of which two can't be one place, where something wider holds both."""

_ENOUGH = 3
"""Words that make two statements one, where a site's name apart they are the same."""


def check_places(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each thing that the draft puts on another side or at another site than the sources do."""
    everywhere = {site for t in sources.texts.values() for s in t.statements for site in s.told.place.sites}
    seen: set[tuple[int, Site]] = set()
    for entity in draft.entities:
        told = sources.supporting(entity.concept)
        sided = list(_check_side(entity, told))
        yield from sided
        if told:
            seen.update((entity.statement, site) for site in entity.place.sites & everywhere)
        elif entity.present and entity.place.sites:
            yield from _check_wider(entity, find_wider(entity, draft, sources, anywhere=True), everywhere)
        for flagged, site in _check_sites(entity, told, everywhere):
            seen.add((entity.statement, site))
            is_told = sided and flagged.kind == FlagKind.LATERALITY  # the side is wrong, and so the lobe on that side
            if not is_told and not _is_told_alike(draft.statements[entity.statement], site, sources):
                yield flagged
    for number, statement in enumerate(draft.statements):
        for start, end, site in statement.told.sites:
            if (number, site) not in seen and start not in statement.phrasing.denial.words:
                seen.add((number, site))
                yield from _check_site(statement, (start, end), site, sources, everywhere)


def _check_site(
    statement: Statement, at: tuple[int, int], site: Site, sources: Sources, everywhere: set[Site]
) -> Iterator[Flag]:
    """A flag where the sources say elsewhere what this statement says here: of a site whatever it is said of."""
    start, end = at
    message = ""
    if _is_strange(site, everywhere):
        message = f"the findings don't name {site.plain}"
    else:
        context = read_context(statement, range(start, end))
        is_known = is_near(site, everywhere)  # then only what says all the rest of the statement counts
        alike = sources.likeness.find(context, lambda s: s.told.place.sites, all_of_it=is_known)
        enough = not is_known or len(context) >= _ENOUGH
        if enough and (other := find_conflict(site, {k for s in alike for k in s.told.place.sites})):
            message = f"the findings say {other.plain}, not {site.plain}"
    if message:
        places = statement.phrasing.places
        yield flag(FlagKind.SITE, Severity.WARNING, message, [(places[start][0], places[end - 1][1])])


def _is_told_alike(statement: Statement, site: Site, sources: Sources) -> bool:
    """Whether that statement of the sources that is most like this one, its site aside, names the site."""
    own = {i for start, end, s in statement.told.sites if s == site for i in range(start, end)}
    alike = sources.likeness.find(read_context(statement, own), lambda s: s.told.place.sites)
    return any(site in s.told.place.sites for s in alike)


def _is_strange(site: Site, everywhere: set[Site]) -> bool:
    """Whether it is a level that the sources don't name, among those that they name."""
    return site.kind == _LEVEL and site not in everywhere and any(known.kind == _LEVEL for known in everywhere)


def _check_side(entity: Entity, told: Sequence[Mention]) -> Iterator[Flag]:
    sided = [(m, sides) for m in told if (sides := m.entity.place.sides or m.entity.around.sides)]
    if entity.present:  # `no right hydronephrosis` doesn't put one on the right, nor does a sign that isn't there
        present = [(m, sides) for m, sides in sided if m.entity.present]
        sided = present or [(m, sides) for m, sides in sided if is_same(m.entity.concept, entity.concept)]
    if len(entity.place.sides) == 1 and len(_join_sides(sided)) > 1:
        meant = find_counterparts(entity, [m for m, _ in sided])
        sided = [(m, sides) for m, sides in sided if m in meant]
    if sided and not entity.place.sides <= _join_sides(sided):
        side = " and ".join(sorted({"L": "left", "R": "right"}[s] for s in entity.place.sides))
        yield flag(
            FlagKind.LATERALITY,
            Severity.CRITICAL,
            f"the findings don't put {entity.concept.plain} on the {side}",
            [*entity.sided_at, (entity.start, entity.end)],
            [m.span for m, _ in sided[:1]],
        )


def _join_sides(sided: Iterable[tuple[Mention, frozenset[str]]]) -> frozenset[str]:
    return frozenset[str]().union(*(sides for _, sides in sided))


def _check_wider(entity: Entity, told: Sequence[Mention], everywhere: set[Site]) -> Iterator[Flag]:
    """A flag where the findings put what it is a kind of in another part of the same organ."""
    known = frozenset[Site]().union(*(m.entity.place.sites or m.entity.around.sites for m in told))
    strange = (s for s in entity.place.sites if s.kind in _PARTS and s not in everywhere)
    for site in sorted(strange, key=lambda s: s.name):
        other = find_conflict(site, known)
        if other and not site.within.isdisjoint(other.within):
            message = f"the findings put this at {other.plain}, not at {site.plain}"
            yield flag(FlagKind.SITE, Severity.WARNING, message, [(entity.start, entity.end)], [told[0].span])


def _find_sites(entity: Entity, told: Mention) -> frozenset[Site]:
    """Where a mention is, as far as `entity` must be there: a sign of it may be in another vessel or organ."""
    sites = told.entity.place.sites or told.entity.around.sites
    return sites if is_same(told.entity.concept, entity.concept) else frozenset(s for s in sites if s.kind in _PLACED)


def _check_sites(entity: Entity, told: Sequence[Mention], everywhere: set[Site]) -> Iterator[tuple[Flag, Site]]:
    if not entity.present and not any(m.entity.present for m in told):
        return
    placed = [(m, sites) for m in told if (sites := _find_sites(entity, m))]
    known = frozenset[Site]().union(*(sites for _, sites in placed))
    for site in sorted(entity.place.sites, key=lambda s: s.name):
        other = find_mirror(site, known) or find_conflict(site, known)
        if other is None and not (told and site.kind in _PLACED and not is_near(site, everywhere)):
            continue
        message = (
            f"the findings put {entity.concept.plain} at {other.plain}, not at {site.plain}"
            if other
            else (f"the findings don't name {site.plain}")
        )
        kind = FlagKind.LATERALITY if other and is_mirror(other, site) else FlagKind.SITE
        severity = Severity.CRITICAL if other else Severity.WARNING
        told_at = [m.span for m, _ in placed[:1]]
        yield flag(kind_of(entity.concept, kind), severity, message, [(entity.start, entity.end)], told_at), site
