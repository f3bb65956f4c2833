"""What this gateway may work on: everything, where no other can share its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from radbridge.journal.buckets import ALL, bucket_of
from radbridge.journal.types import clean
from radbridge.wire import Holder, Kind


class SoleHolder(Holder):
    """Holds every name, from the start and for good."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._held: dict[Kind, dict[str, int]] = {kind: {} for kind in Kind}
        self.add(names)

    @property
    def is_sole(self) -> bool:
        """It is."""
        return True

    def add(self, names: Iterable[str]) -> None:
        """These are there to be held too."""
        for name in names:
            self._held[Kind(name.partition(":")[0])][name] = 0

    def held(self, kind: Kind) -> Mapping[str, int]:
        """All names of that kind."""
        return self._held[kind]

    def keeps(self, held: Mapping[str, int]) -> bool:
        """Nobody else is there."""
        return True

    def on_change(self, callback: Callable[[], None]) -> None:
        """Nothing ever changes."""

    def fence(self, conn: Connection, held: Mapping[str, int]) -> None:
        """Nobody else is there who could have taken them."""

    @contextmanager
    def using(self, names: Sequence[str]) -> Iterator[None]:
        """They are never given away."""
        yield


def cases_lease(bucket: int) -> str:
    """What the lease of a bucket of cases is called."""
    return f"{Kind.CASES}:{bucket}"


def lease_of_case(accession: str) -> str:
    """What the lease is called under which a case is worked on."""
    return cases_lease(bucket_of(clean(accession)))


def worker_lease(name: str) -> str:
    """What the lease of a worker is called of which there is one."""
    return f"{Kind.WORKER}:{name}"


def buckets_of(holder: Holder) -> frozenset[int]:
    """The buckets of cases that a gateway may work on now."""
    if holder.is_sole:
        return ALL
    return frozenset(int(name.partition(":")[2]) for name in holder.held(Kind.CASES))
