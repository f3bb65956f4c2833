"""What a turn works with, and the turn itself: the one that was broken off, or a new one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from radbridge.cli.common import existing_store
from radbridge.config import Site
from radbridge.errors import ConfigError
from radbridge.journal import secrets
from radbridge.journal.stores import Stores, explain
from radbridge.registry import LoraRegistry
from radbridge_training.serving import Serving, read_serving
from radbridge_training.turn import folder
from radbridge_training.turn.done import read_done
from radbridge_training.turn.examples import EXAMPLES
from radbridge_training.turn.folder import Told, Turn, find_open, list_turns
from radbridge_training.turn.job import Job, Owner, State
from radbridge_training.turn.plan import Before, Skip, find_canary_share, plan_turn
from radbridge_training.turn.ready import check_site
from radbridge_training.turn_recipe import TurnRecipe

log = structlog.get_logger(__name__)
_LOOKED = frozenset({State.PUBLISHED, State.REFUSED, State.SKIPPED})
"""After these, a turn with no new report would come to the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """The site, what it serves, its registry and its journal."""

    site: Site
    serving: Serving
    registry: LoraRegistry
    stores: Stores
    secret: bytes
    """The site's own, for pseudonyms."""


@contextmanager
def open_workshop(site: Site) -> Iterator[Workshop]:
    """Raises ConfigError for a site that can't train, JournalError when its journal can't be used."""
    root = check_site(site)
    serving = read_serving(site)
    stores = existing_store(site)
    try:
        with stores.begin() as conn:
            secrets.make(conn, [secrets.PSEUDONYMS])
            secret = secrets.read(conn, secrets.PSEUDONYMS)
        yield Workshop(site=site, serving=serving, registry=LoraRegistry(root), stores=stores, secret=secret)
    except SQLAlchemyError as error:
        raise explain(error) from None
    finally:
        stores.dispose()


def plan(shop: Workshop, recipe: TurnRecipe, only: Sequence[str]) -> tuple[list[Owner], list[Skip]]:
    """Whom a turn that began now would train for, and why not the others."""
    looked = read_looked(shop.site.training.work)
    trials = bool(find_canary_share(shop.site, shop.serving))
    before = Before(base_digest=shop.serving.digest, looked_upto=looked, trials=trials)
    with shop.stores.connect() as conn:
        return plan_turn(conn, shop.registry, shop.site.training, before, only=only, from_base=recipe.start == "base")


def open_turn(shop: Workshop, recipe: TurnRecipe, only: Sequence[str], *, fresh: bool) -> Turn:
    """The turn that was broken off, unless it was for another base, or a `fresh` one is asked for; else a new one.

    Where all are asked for, one that was broken off goes on whomever it was for: `told.only` says so. Raises
    ConfigError where somebody is asked for who has no report, or while a turn for others is broken off.
    """
    work = shop.site.training.work
    only = tuple(sorted(set(only)))
    left = find_open(list(list_turns(work)))
    ended = sum(left.outcome(owner.owner) is not None for owner in left.told.owners) if left else 0
    if left is not None and not fresh and left.told.base == shop.serving.digest:
        count, limit = ended, len(left.told.owners)
        if only not in ((), left.told.only):
            whom = ", ".join(left.told.only) or "everybody"
            command = " ".join(("radbridge train run", *(f"--only {name}" for name in left.told.only)))
            broken_off = f"a turn for {whom} is broken off at {count} of {limit}"
            raise ConfigError([f"--only: {broken_off}; bring it to its end with `{command}`, or give it up by --fresh"])
        log.info("turn resumed", where=left.folder.name, count=count, limit=limit)
        return left
    owners, skips = plan(shop, recipe, only)
    if left is not None:
        reason = "a fresh one was asked for" if fresh else "it was for another base"
        log.warning("turn given up", where=left.folder.name, count=ended, limit=len(left.told.owners), reason=reason)
        folder.end(left, keep_rows=shop.site.training.keep_rows)
    told = Told(
        began=datetime.now(UTC),
        recipe=hashlib.sha256(recipe.model_dump_json().encode()).hexdigest(),
        base=shop.serving.digest,
        only=only,
        owners=tuple(owners),
        skips=tuple(skips),
        looked=read_looked(work),
    )
    return folder.begin(work, told)


def make_job(shop: Workshop, turn: Turn, owner: Owner, recipe: TurnRecipe) -> Job:
    """The owner's part of the turn."""
    parent = shop.registry.version(owner.parent) if owner.parent else None
    return Job(
        folder=turn.home(owner.owner),
        owner=owner,
        recipe=recipe,
        base=shop.serving.base,
        base_digest=shop.serving.digest,
        ways=shop.serving.ways,
        parent=parent.path if parent else None,
    )


def read_looked(work: Path) -> Mapping[str, int]:
    """Owner -> the last report that a turn looked at, and came to an end with."""
    newest = next(list_turns(work), None)
    if newest is None:
        return {}
    looked = dict(newest.told.looked)
    for owner in newest.told.owners:
        outcome, done = newest.outcome(owner.owner), read_done(newest.home(owner.owner) / EXAMPLES)
        if outcome and outcome.state in _LOOKED and done:
            looked[owner.owner] = int(done.told["upto"])
    return looked
