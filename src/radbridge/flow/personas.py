"""Chooses personas for radiologists who have no LoRA yet, by what the style memory holds of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection

from radbridge.config import Site
from radbridge.journal import memory
from radbridge.learning.personas import load_centres
from radbridge.registry import LoraRegistry, choose

READ = 200
"""A radiologist's reports that are looked at, the newest: how they write now."""
_BLOCK = 500
_NEWEST = 2**63 - 1


def choose_personas(conn: Connection, site: Site, *, said: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """The persona for each who has signed enough and has no champion; `said` is what somebody knows better.

    Nothing where there is no registry, or for a base that no persona was made for. Raises RegistryError.
    """
    if site.registry is None:
        return {}
    there = load_centres()
    if site.model.base is not None:  # the packaged personas are LoRAs for the packaged base
        own = LoraRegistry(site.registry).owners()
        there = {owner: features for owner, features in there.items() if owner in own}
    return choose(site.registry, read_impressions(conn), said=said, centres=there)


def known_personas(site: Site) -> frozenset[str]:
    """The owners that a row may name: the packaged personas, and those of the site's registry."""
    own = LoraRegistry(site.registry).owners() if site.registry else []
    return frozenset(load_centres()) | {owner for owner in own if owner.startswith("persona/")}


def read_impressions(conn: Connection) -> dict[str, list[str]]:
    """What each radiologist signed last, the newest first."""
    impressions: dict[str, list[str]] = {}
    before = _NEWEST
    while block := memory.kept(conn, before, _BLOCK):
        for report in filter(None, block.values()):
            signed = impressions.setdefault(report.signer, [])
            if len(signed) < READ:
                signed.append(report.impression)
        before = min(block)
    return impressions
