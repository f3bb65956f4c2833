"""A gateway with one safeguard taken out: `python -m tests.torture.mutants NAME up --config …`.

A run with one has to be found out by the checker, or the checker proves nothing.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Mapping
from typing import Any

from radbridge.cli.app import app
from radbridge.flow import intake, ordering
from radbridge.flow.cluster import ClusterHolder
from radbridge.journal import locks, messages
from radbridge.wire import Accepted


def without_fence() -> None:
    """A gateway that stood still for longer than its lease goes on as if nothing had happened."""
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


MUTANTS: Mapping[str, Callable[[], None]] = {
    "fence": without_fence,
    "locks": without_locks,
    "dedupe": without_dedupe,
    "order": without_order,
    "disk": without_disk,
}

if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    app()
