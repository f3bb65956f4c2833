"""The last step: a candidate that passed the gate becomes a version with its lineage, on trial or in service.

Killed anywhere, it can be done again: the same weights are the same version, lineage is a set, an alias flips to where
it stands already, and an event that was recorded isn't recorded twice. Files flip in no transaction: so the audit trail
knows of each try before, whatever happens behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from radbridge.audit import Note, What
from radbridge.case import CaseKey
from radbridge.config.training import Trial
from radbridge.journal import audit, learning, lora_events, sources
from radbridge.journal.lora_events import LoraEvent
from radbridge.journal.schema import LoraAction
from radbridge.journal.sources import Mark
from radbridge.journal.stores import Stores
from radbridge.loras import Act
from radbridge.registry import LoraRegistry, LoraVersion

ACTOR = "radbridge train"
_WITHDRAWN = "withdrawn while it was trained"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """What weights were made from."""

    base_digest: str
    prompt_version: str
    parent: str = ""
    """The version that training went on from; empty: the base."""
    ids: Collection[str] = ()
    """Of the training reports."""
    trained: Mapping[str, Any] = field(default_factory=dict)
    """For the manifest: recipe, turn, steps, seed, examples, `upto`."""

    @property
    def digest(self) -> str:
        """Of the reports' ids: a version says what it learned from, and tells nobody which cases those are."""
        return hashlib.sha256("\n".join(sorted(self.ids)).encode()).hexdigest()


class Publisher:
    """Publishes into one registry, with its events and lineage in one journal."""

    def __init__(self, registry: LoraRegistry, stores: Stores, *, secret: bytes, actor: str = ACTOR) -> None:
        """`secret` is the site's: by it the reports' ids are those of cases."""
        self._registry = registry
        self._stores = stores
        self._secret = secret
        self._actor = actor

    def publish(
        self, weights: Path, owner: str, lineage: Lineage, *, reason: str, metrics: Mapping[str, float] | None = None
    ) -> LoraVersion:
        """A new version, not served yet. It is marked where something it learned from was withdrawn meanwhile."""
        self.want(owner, "publish", reason)
        with self._stores.connect() as conn:
            keys = learning.keys_of(conn, lineage.ids, secret=self._secret)
            span = learning.signed_between(conn, keys)
        version = self._registry.publish(
            weights,
            owner,
            base_digest=lineage.base_digest,
            prompt_version=lineage.prompt_version,
            parent=lineage.parent,
            data_from=span[0].date() if span else None,
            data_to=span[1].date() if span else None,
            metrics=metrics,
            trained=dict(lineage.trained) | {"examples_sha256": lineage.digest},
        )
        self._record(version, lineage, keys, reason)
        return version

    def serve(self, version: LoraVersion, trial: Trial, *, reason: str, at_once: bool = False) -> LoraAction | None:
        """Put the version on trial, or into service where the site tries none or `at_once`; None for a marked one.

        Once: a version that was taken back meanwhile stays so.
        """
        action = LoraAction.PROMOTED if at_once or trial.mode == "none" else LoraAction.CHALLENGED
        with self._stores.connect() as conn:
            events = lora_events.of_owner(conn, version.owner)
        if version.name in self._read_marked():
            return None
        if any(event.version == version.name and event.action is action for event in events):
            return action
        if action is LoraAction.PROMOTED:
            self.want(version.name, Act.PROMOTE, reason)
            self._registry.promote(version)
        elif self._registry.alias_names(version.owner).champion != version.folder:  # the same weights once more
            before = self._registry.alias_names(version.owner).challenger
            self.want(version.name, Act.CHALLENGE, reason)
            self._registry.challenge(version)
            if before and before != version.folder:
                self.tell(
                    version.owner, f"{version.owner}@{before}", LoraAction.WITHDRAWN, f"{version.folder} is newer"
                )
        if version.name in (marked := self._read_marked()):  # withdrawn while it was flipped
            self.want(version.name, Act.WITHDRAW, _WITHDRAWN)
            self._registry.lose(version, barred=marked)
            return None
        self.tell(version.owner, version.name, action, reason)
        return action

    def _read_marked(self) -> frozenset[str]:
        with self._stores.connect() as conn:
            return sources.marked(conn)

    def want(self, name: str, act: str, reason: str) -> None:
        """Have it noted that a version or an owner is about to be changed."""
        detail = {"lora": name, "wanted": act, "reason": reason}
        note = Note(at=datetime.now(UTC), what=What.CONFIGURATION, actor=self._actor, detail=detail)
        with self._stores.begin() as conn:
            audit.note(conn, [note])

    def tell(self, owner: str, version: str, action: LoraAction, reason: str) -> None:
        """Record an event."""
        with self._stores.begin() as conn:
            lora_events.record(conn, [self._event(owner, version, action, reason)])

    def _record(self, version: LoraVersion, lineage: Lineage, keys: Collection[CaseKey], reason: str) -> None:
        """A withdrawal before is seen, and one after finds the lineage: the transaction begins with its first write."""
        with self._stores.begin() as conn:
            sources.record(conn, version.name, keys, lineage.parent)
            events = lora_events.of_owner(conn, version.owner)
            if not any(e.version == version.name and e.action is LoraAction.PUBLISHED for e in events):
                lora_events.record(conn, [self._event(version.owner, version.name, LoraAction.PUBLISHED, reason)])
            if learning.count_kept(conn, keys) < len(lineage.ids) or lineage.parent in sources.marked(conn):
                mark = Mark(at=datetime.now(UTC), actor=self._actor, reason=_WITHDRAWN)
                sources.mark(conn, [version.name], mark)

    def _event(self, owner: str, version: str, action: LoraAction, reason: str) -> LoraEvent:
        return LoraEvent(
            at=datetime.now(UTC), owner=owner, version=version, action=action, actor=self._actor, reason=reason
        )
