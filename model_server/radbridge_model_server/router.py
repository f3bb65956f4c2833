"""Which replica drafts: the ones that are likely to hold the signer's LoRA in memory, the least busy of them first.

Serve's own `@serve.multiplexed` is not used: it keeps a hot model on one replica (ray#65691), and loads one at a time.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica


def rank(owner: str, replicas: Iterable[str], spread: int) -> tuple[list[str], list[str]]:
    """The `spread` replicas that are the owner's home, and the others. The best of each comes first.

    Rendezvous hashing: it needs no state, so every proxy says the same, and a replica that comes or goes moves only
    the owners that it takes or had.
    """
    ranked = sorted(replicas, key=lambda replica: _weigh(owner, replica), reverse=True)
    return ranked[:spread], ranked[spread:]


class OwnerRouter(RequestRouter):
    """Serve's request router for the model server. The owner is the header `radbridge.contract.OWNER_HEADER`.

    Serve takes the least busy replica of each group that has room, group by group, so a dead or a full replica only
    costs the next group its turn. Without the header the groups are two replicas at random, and the others.
    """

    def initialize_state(self, **kwargs: Any) -> None:
        """Called by Serve with `request_router_kwargs`: `spread`."""
        self._spread = int(kwargs["spread"])

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The groups to try, best first. Called by Serve, again and again while all are full."""
        replicas = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        owner = ""
        if pending_request is not None:
            owner = pending_request.metadata.multiplexed_model_id
            pending_request.routing_context.should_backoff = True  # else Serve asks again without a pause
        groups = rank(owner, replicas, self._spread) if owner else _draw(list(replicas))
        return [[replicas[name] for name in group] for group in groups if group]


def _weigh(owner: str, replica: str) -> bytes:
    return blake2b(f"{owner}\0{replica}".encode(errors="surrogatepass"), digest_size=8).digest()


def _draw(replicas: list[str]) -> tuple[list[str], list[str]]:
    random.shuffle(replicas)
    return replicas[:2], replicas[2:]
