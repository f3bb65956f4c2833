"""Gateways with a safeguard taken out: `make torture ARGS="--mutant NAME"`, and each of them: `make torture-mutants`.

A run with one has to be found out by the checker, or the checker proves nothing. Each names the events that bring it
out; a run with it has those alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from radbridge.flow import intake, ordering
from radbridge.flow.cluster import ClusterHolder
from radbridge.journal import locks, messages, queue
from radbridge.wire import Accepted


def without_look() -> None:
    """What was applied already isn't looked up again. Alone it is no mutant: behind the fence nobody needs the look."""
    queue.find_waiting = lambda conn, ids: set(ids)


def without_fence() -> None:
    """A gateway that stood still for longer than its lease goes on as if nothing had happened.

    The look is out with it: either is enough by itself, so that a run can't tell that one of the two is missing.
    """
    without_look()
    ClusterHolder.fence = lambda self, conn, held: None  # type: ignore[method-assign]


def without_locks() -> None:
    """Two writers may read the same case, and each writes what it made of it."""
    locks._HOLD = locks._SHARE = "SELECT 1 FROM unnest(%s::text[])"  # noqa: SLF001 - what is to be taken out


def without_dedupe() -> None:
    """The same bytes again are another message."""
    known = messages._key  # noqa: SLF001 - as above
    messages._key = lambda received: known(received) + secrets.token_hex(4)  # noqa: SLF001


def without_order() -> None:
    """Of two messages the later one may be applied first."""
    ordering.Slip.must_follow = lambda self, earlier: False  # type: ignore[method-assign]


def without_disk() -> None:
    """The answer goes out and the commit comes later, if it comes."""
    put = intake.JournalIntake.put

    def put_at_once(self: Any, received: Any) -> Any:
        committed = put(self, received)
        committed.add_done_callback(lambda done: done.cancelled() or done.exception())
        answered = committed.get_loop().create_future()
        answered.set_result(Accepted(id=0, ack=received.ack, new=True))
        return answered

    intake.JournalIntake.put = put_at_once  # type: ignore[method-assign]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """What is taken out, and when it is missed."""

    take_out: Callable[[], None]
    events: Sequence[str]


MUTANTS: Mapping[str, Mutant] = {
    "fence": Mutant(take_out=without_fence, events=("stop a gateway in mid-write",)),
    "locks": Mutant(take_out=without_locks, events=("hold up a draft",)),
    "dedupe": Mutant(take_out=without_dedupe, events=("reset all connections",)),
    "order": Mutant(take_out=without_order, events=("hold up a message",)),
    "disk": Mutant(take_out=without_disk, events=("kill a gateway",)),
}
