"""What the wires and the journal tell of their work, in fixed words: `radbridge.metrics.Metrics` counts it.

No argument may hold what came over a wire: a label is kept for as long as the process lives, and read by everybody who
may read `/metrics` (rule 5). `wire` and `destination` are names of the site's file, the other words are constants.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol


class WireMeter(Protocol):
    """What a wire tells."""

    def acknowledged(self, wire: str, elapsed_s: float) -> None:
        """An answer was written, so long after the last byte of what it answers."""
        ...

    def reused(self) -> None:
        """A sender used the id of one message for another."""
        ...

    def limited(self, wire: str) -> None:
        """A caller was made to wait, or told to come back later."""
        ...

    def logged_in(self, *, let_in: bool) -> None:
        """Somebody tried to log in. Why not isn't counted: it would tell which names there are."""
        ...

    def answered_late(self, destination: str) -> None:
        """A destination acknowledged what nobody waited for any more."""
        ...

    def unanswered(self, destination: str) -> None:
        """A destination took a message and said nothing in time."""
        ...

    def expires(self, wire: str, at: Callable[[], datetime]) -> None:
        """Who can tell until when the certificate is valid that a wire shows; asked whenever somebody looks.

        It may raise OSError or ValueError.
        """
        ...


class JournalMeter(Protocol):
    """What the journal tells. Called from its own threads."""

    def committed(self, size: int) -> None:
        """A group of so many writes is on the disk."""
        ...

    def retried(self, reason: str) -> None:
        """A group was run again: `serialization`, `deadlock`."""
        ...

    def journal_is(self, *, up: bool) -> None:
        """Whether the last group could be committed."""
        ...
