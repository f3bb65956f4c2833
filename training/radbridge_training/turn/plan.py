"""Whom a turn trains for, and why not the others."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection

from radbridge.config import Site
from radbridge.config.training import Training
from radbridge.errors import ConfigError, LoraRefused
from radbridge.journal import learning, outcomes, sources
from radbridge.registry import MANIFEST, LoraRegistry, LoraVersion, owner_of
from radbridge_training.serving import Serving
from radbridge_training.turn.job import Owner


class Reason(StrEnum):
    """Why a radiologist is left out: fixed words, and counts."""

    FEW = "too few reports ({have} of {least})"
    FEW_NEW = "too few new reports ({have} of {least})"
    FEW_LATER = "too few later reports ({have} of {least})"
    ALIKE = "all impressions are alike"
    EMPTY = "most impressions are empty"
    LANGUAGE = "another language"
    CONTRADICTING = "edits contradict each other"
    NOT_ALIGNED = "no sentence of theirs could be aligned"
    CONSENT = "no consent"
    ON_TRIAL = "a version of theirs is on trial"

    def tell(self, have: int = 0, least: int = 0) -> str:
        """The reason with its counts."""
        return self.value.format(have=have, least=least)


@dataclass(frozen=True, kw_only=True, slots=True)
class Skip:
    """A radiologist for whom nothing is begun."""

    radiologist: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """What earlier turns and the registry know."""

    base_digest: str
    looked_upto: Mapping[str, int]
    """Owner -> the last report, by order, that a turn has looked at."""
    trials: bool = False
    """Whether it is known that challengers write, so that every trial comes to an end."""


def plan_turn(
    conn: Connection,
    registry: LoraRegistry,
    settings: Training,
    before: Before,
    *,
    only: Collection[str] = (),
    from_base: bool = False,
) -> tuple[list[Owner], list[Skip]]:
    """Who has enough new reports, and who hasn't. `from_base`: nobody's training goes on from a champion.

    Raises ConfigError for somebody in `only` of whom nothing is remembered.
    """
    marked = sources.marked(conn)
    owners: list[Owner] = []
    skips: list[Skip] = []
    for radiologist, reports in count_asked(conn, only).items():
        name = owner_of("rad", radiologist)
        champion = find_champion(registry, name)
        upto = read_upto(champion) if champion else None
        new = learning.count_newer(conn, radiologist, max(upto or 0, before.looked_upto.get(name, 0)))
        is_marked = champion is not None and champion.name in marked
        goes_on = upto is not None and not is_marked and not from_base
        owner = Owner(
            radiologist=radiologist,
            owner=name,
            reports=reports,
            new=new,
            marked=is_marked,
            parent=champion.name if champion and goes_on and champion.base_digest == before.base_digest else "",
            upto=0 if is_marked else upto or 0,
        )
        reason = _find_reason(owner, settings)
        if not reason and (version := _find_tried(registry, owner, before)):
            writes = before.trials or _has_written(conn, radiologist, version.name, settings.least_new)
            reason = Reason.ON_TRIAL if writes else ""
        if reason:
            skips.append(Skip(radiologist=radiologist, reason=reason))
        else:
            owners.append(owner)
    return owners, skips


def _find_reason(owner: Owner, settings: Training) -> str:
    """Why nothing is begun; empty: it is."""
    if not settings.has_consent(owner.radiologist):
        return Reason.CONSENT
    if owner.reports < settings.least_reports:
        return Reason.FEW.tell(owner.reports, settings.least_reports)
    if owner.new < settings.least_new and not owner.marked:
        return Reason.FEW_NEW.tell(owner.new, settings.least_new)
    return ""


def count_asked(conn: Connection, only: Collection[str]) -> Mapping[str, int]:
    """The reports that are remembered, by radiologist; of everybody, or of those in `only`.

    Raises ConfigError that names those of whom there is none.
    """
    counts = learning.count_reports(conn)
    if unknown := sorted(set(only) - counts.keys()):
        raise ConfigError([f"--only: no report of {name} is remembered" for name in unknown])
    return {name: count for name, count in sorted(counts.items()) if not only or name in only}


def _find_tried(registry: LoraRegistry, owner: Owner, before: Before) -> LoraVersion | None:
    """The version on trial that a newer one would take the place of."""
    try:
        challenger = registry.challenger(owner.owner)
    except LoraRefused:  # damaged: it writes nothing
        return None
    is_for_this = challenger is not None and challenger.base_digest == before.base_digest
    return challenger if is_for_this and not owner.marked else None


def _has_written(conn: Connection, radiologist: str, version: str, at_most: int) -> bool:
    """Whether one of the last `at_most` drafts that were signed was asked of that version."""
    last = outcomes.read_outcomes_before(conn, radiologist, before=datetime.now(UTC), at_most=at_most)
    return any(outcome.version == version for outcome in last)


def find_canary_share(site: Site, serving: Serving) -> float | None:
    """Which share of the drafts challengers write; None where only a model server elsewhere knows."""
    if site.training.server is None and site.model.url != "embedded":
        return None
    lifecycle = serving.settings.get("lifecycle")
    share = lifecycle.get("canary_share", 0) if isinstance(lifecycle, Mapping) else 0
    return float(share) if isinstance(share, int | float) else 0.0


def find_champion(registry: LoraRegistry, owner: str) -> LoraVersion | None:
    """The version that drafts for the owner; None where there is none, or none that can be read."""
    try:
        return registry.champion(owner)
    except LoraRefused:  # damaged: nothing goes on from it, and a new one takes its place
        return None


def read_upto(version: LoraVersion) -> int | None:
    """The last report, by order, that a version learned from; None where its manifest doesn't say.

    Nobody's training goes on from such a one: what it is judged on could be what it has learned.
    """
    try:
        trained = json.loads((version.path / MANIFEST).read_bytes())["trained"]
        return int(trained["upto"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
