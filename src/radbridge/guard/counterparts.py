"""Which of several things of one kind in the findings is the one that the draft means."""

from __future__ import annotations

from collections.abc import Sequence

from radbridge.entities import MANY, Entity, Place
from radbridge.guard.sites import is_compatible, is_there, is_within
from radbridge.guard.sources import Mention


def find_counterparts(entity: Entity, told: Sequence[Mention]) -> Sequence[Mention]:
    """Those of the mentions `told` that `entity` of the draft is likest to; all where nothing tells them apart.

    The same size decides first: `12 mm nodule` is the one of 12 mm, whatever else is said of it. Then degree, number
    and site decide, between those that differ in it.
    """
    if sized := [m for m in told if _is_as_large(entity, m.entity)]:
        told = sized
    for agrees, differs in (
        (_is_as_severe, _is_otherwise_severe),
        (_is_as_many, _is_otherwise_many),
        (_is_there, _is_elsewhere),
    ):
        if any(agrees(entity, m.entity) for m in told):
            told = [m for m in told if agrees(entity, m.entity) or not differs(entity, m.entity)]
    return told


def _is_as_large(entity: Entity, told: Entity) -> bool:
    return any(measure.agrees(t) for measure in entity.measures for t in told.measures)


def _is_as_severe(entity: Entity, told: Entity) -> bool:
    return entity.severity is not None and entity.severity == told.severity


def _is_otherwise_severe(entity: Entity, told: Entity) -> bool:
    return told.severity is not None and entity.severity != told.severity


def _is_as_many(entity: Entity, told: Entity) -> bool:
    return entity.count not in (None, MANY) and entity.count == told.count


def _is_otherwise_many(entity: Entity, told: Entity) -> bool:
    return told.count not in (None, MANY) and entity.count != told.count


def _is_there(entity: Entity, told: Entity) -> bool:
    """Whether both are at one site; that of the other side counts too."""
    here, there = Place(sites=entity.place.sites), Place(sites=told.place.sites)
    return is_there(here, there) and (not is_within(here, there) or is_compatible(here, there))


def _is_elsewhere(_: Entity, told: Entity) -> bool:
    return bool(told.place.sites)
