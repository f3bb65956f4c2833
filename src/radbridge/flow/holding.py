"""What this gateway may work on: everything, where no other can share its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from radbridge.wire import Holder, Kind


class SoleHolder(Holder):
    """Holds every name, from the start and for good."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._held: dict[Kind, dict[str, int]] = {kind: {} for kind in Kind}
        for name in names:
            self._held[Kind(name.partition(":")[0])][name] = 0

    @property
    def is_sole(self) -> bool:
        """It is."""
        return True

    def held(self, kind: Kind) -> Mapping[str, int]:
        """All names of that kind."""
        return self._held[kind]

    def on_change(self, callback: Callable[[], None]) -> None:
        """Nothing ever changes."""

    def fence(self, conn: Connection, held: Mapping[str, int]) -> None:
        """Nobody else is there who could have taken them."""

    @contextmanager
    def using(self, names: Sequence[str]) -> Iterator[None]:
        """They are never given away."""
        yield
