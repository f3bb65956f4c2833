"""How two places stand to each other: one, one within the other, or apart."""

from __future__ import annotations

from collections.abc import Iterable

from radbridge.entities import Place, Site


def is_compatible(one: Place, other: Place) -> bool:
    """Whether two places may be one: no side and no site contradicts."""
    if one.sides and other.sides and one.sides.isdisjoint(other.sides):
        return False
    return all(find_conflict(site, other.sites) is None for site in one.sites)


def is_within(one: Place, other: Place) -> bool:
    """Whether a site of one is at, in or around a site of the other."""
    return any(is_near(site, other.sites) for site in one.sites)


def is_there(one: Place, other: Place) -> bool:
    """Whether a site of one is within a site of the other, or the same on the other side."""
    return is_within(one, other) or any(is_mirror(site, k) for site in one.sites for k in other.sites)


def find_conflict(site: Site, known: Iterable[Site]) -> Site | None:
    """A site of the same kind that contradicts `site`; None when one agrees with it, or none is of its kind."""
    known = tuple(known)
    alike = [k for k in known if k.kind == site.kind]
    if is_near(site, alike) or any(site.name in k.within for k in known):
        return None
    return min(alike, key=lambda k: k.name, default=None)


def is_near(site: Site, known: Iterable[Site]) -> bool:
    """Whether it is one of those known, contains one or lies in one."""
    return any(site == k or site.name in k.within or k.name in site.within for k in known)


def find_mirror(site: Site, known: frozenset[Site]) -> Site | None:
    """The site of the other side, where that alone is known."""
    return None if site in known else next((k for k in known if is_mirror(site, k)), None)


def is_mirror(site: Site, other: Site) -> bool:
    """Whether it is the same on the other side: `left lower lobe` and the right one."""
    here, there = ("left", "right") if site.side == "L" else ("right", "left")
    return bool(site.side) and here in site.name and other.name == site.name.replace(here, there, 1)
