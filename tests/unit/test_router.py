"""Which replica drafts for whom."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.serve.request_router import PendingRequest, RunningReplica

from radbridge_model_server.router import OwnerRouter, rank

names = st.text(min_size=1, max_size=20)
replicas = st.lists(names, min_size=1, max_size=12, unique=True)
spreads = st.integers(min_value=1, max_value=6)


@given(owner=names, replicas=replicas, spread=spreads, data=st.data())
def test_the_same_replicas_give_the_same_rank(
    owner: str, replicas: list[str], spread: int, data: st.DataObject
) -> None:
    """In whatever order the replicas are told, every proxy ranks them alike."""
    shuffled = data.draw(st.permutations(replicas))
    assert rank(owner, shuffled, spread) == rank(owner, replicas, spread)


@given(owner=names, replicas=replicas, spread=spreads)
def test_every_replica_is_asked_in_the_end(owner: str, replicas: list[str], spread: int) -> None:
    """The home has `spread` replicas, if there are so many; home and others together are all, each once."""
    home, others = rank(owner, replicas, spread)
    assert len(home) == min(spread, len(replicas))
    assert sorted(home + others) == sorted(replicas)


@given(owner=names, replicas=replicas, spread=spreads, data=st.data())
def test_a_lost_replica_moves_nobody_else(owner: str, replicas: list[str], spread: int, data: st.DataObject) -> None:
    """When a replica goes, the others keep their order: only who had it in the home gets a new one, and just one."""
    lost = data.draw(st.sampled_from(replicas))
    home, others = rank(owner, replicas, spread)
    new_home, new_others = rank(owner, [r for r in replicas if r != lost], spread)
    assert new_home + new_others == [r for r in home + others if r != lost]
    assert len(set(new_home) - set(home)) == (lost in home and bool(others))


@pytest.mark.parametrize("count", [2, 4, 10])
def test_a_new_replica_takes_its_share_and_no_more(count: int) -> None:
    """Of 4,000 owners a new replica takes about one in n+1, and all replicas get about as many."""
    owners = [f"rad/{n}" for n in range(4000)]
    before = {o: rank(o, [f"replica{n}" for n in range(count)], 1)[0][0] for o in owners}
    after = {o: rank(o, [f"replica{n}" for n in range(count + 1)], 1)[0][0] for o in owners}
    moved = [o for o in owners if before[o] != after[o]]
    fair = len(owners) / (count + 1)
    assert {after[o] for o in moved} == {f"replica{count}"}
    assert 0.8 * fair < len(moved) < 1.2 * fair
    assert all(0.8 * fair < n < 1.2 * fair for n in Counter(after.values()).values())


def test_hot_owners_share_no_fate() -> None:
    """Owners with the same first replica have different second ones: a hot one doesn't fill the same two for all."""
    replicas = [f"replica{n}" for n in range(8)]
    homes = [rank(f"rad/{n}", replicas, 2)[0] for n in range(400)]
    first = homes[0][0]
    assert {home[1] for home in homes if home[0] == first} == set(replicas) - {first}


async def test_serve_is_given_the_owners_home_first() -> None:
    """With the header the groups are the home and the others, and Serve is to pause between two looks."""
    router, found = make_router(5, spread=2)
    request = make_request("rad/1001")
    groups = await router.choose_replicas(found, request)
    home, others = rank("rad/1001", [r.replica_id.unique_id for r in found], 2)
    assert [[r.replica_id.unique_id for r in group] for group in groups] == [home, others]
    assert request.routing_context.should_backoff


async def test_without_an_owner_two_at_random_come_first() -> None:
    """A request without the header may go to any replica; all are in the groups."""
    router, found = make_router(4, spread=2)
    firsts = set()
    for _ in range(200):
        pair, others = await router.choose_replicas(found, make_request(""))
        assert len(pair) == 2
        assert sorted(r.replica_id.unique_id for r in pair + others) == [f"replica{n}" for n in range(4)]
        firsts |= {r.replica_id.unique_id for r in pair}
    assert len(firsts) == 4


async def test_one_replica_is_always_found() -> None:
    """No group is empty, with or without an owner, or before a request is known."""
    router, found = make_router(1, spread=2)
    for request in (make_request("rad/1001"), make_request(""), None):
        assert await router.choose_replicas(found, request) == [found]


def make_router(count: int, *, spread: int) -> tuple[OwnerRouter, list[RunningReplica]]:
    """A router as Serve has it, but for Serve."""
    router = OwnerRouter.__new__(OwnerRouter)
    router.initialize_state(spread=spread)
    found = [SimpleNamespace(replica_id=SimpleNamespace(unique_id=f"replica{n}")) for n in range(count)]
    return router, cast("list[RunningReplica]", found)


def make_request(owner: str) -> Any:
    """A request that waits for a replica."""
    context = SimpleNamespace(should_backoff=False)
    return cast(
        "PendingRequest", SimpleNamespace(metadata=SimpleNamespace(multiplexed_model_id=owner), routing_context=context)
    )
