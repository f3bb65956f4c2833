"""Takes weights out of service that learned from something that was withdrawn, where this turn doesn't replace them.

`radbridge forget` marks versions. A marked champion drafts on while the next turn trains its replacement, no longer.
"""

from __future__ import annotations

from contextlib import suppress

import structlog

from radbridge.errors import LoraRefused
from radbridge.journal import sources
from radbridge.journal.schema import LoraAction
from radbridge.loras import Act
from radbridge.registry import owner_of
from radbridge_training.turn.folder import Turn
from radbridge_training.turn.job import State
from radbridge_training.turn.publishing import Publisher
from radbridge_training.turn.workshop import Workshop

log = structlog.get_logger(__name__)

_REASON = "it learned from something that was withdrawn, and nothing takes its place"


def settle_marked(shop: Workshop, turn: Turn) -> None:
    """A marked challenger is on trial no more. A marked champion goes unless the turn is about to replace it."""
    publisher = Publisher(shop.registry, shop.stores, secret=shop.secret)
    with shop.stores.connect() as conn:
        marked = sources.marked(conn)
    due = {part.owner for part in turn.told.owners if _is_due(turn, part.owner)}
    owners = {name.partition("@")[0] for name in marked} & set(shop.registry.owners())
    if turn.told.only:
        owners &= {owner_of("rad", radiologist) for radiologist in turn.told.only}
    for owner in sorted(owners):
        with suppress(LoraRefused):  # damaged: it drafts for nobody
            aliases = shop.registry.aliases(owner)
            challenger, champion = aliases.challenger, aliases.champion
            if challenger and challenger.name in marked:
                publisher.want(challenger.name, Act.WITHDRAW, _REASON)
                if shop.registry.lose(challenger):
                    publisher.tell(owner, challenger.name, LoraAction.WITHDRAWN, _REASON)
            if champion and champion.name in marked and owner not in due:
                publisher.want(owner, Act.RETIRE, _REASON)
                shop.registry.retire(owner)
                publisher.tell(owner, owner, LoraAction.ROLLED_BACK, _REASON)
                log.warning("a LoRA has been taken out of service", owner=owner, version=champion.name, reason=_REASON)


def _is_due(turn: Turn, owner: str) -> bool:
    """Whether a replacement may still come: of this turn, or of the next where this one broke down."""
    outcome = turn.outcome(owner)
    return outcome is None or outcome.state is State.FAILED
