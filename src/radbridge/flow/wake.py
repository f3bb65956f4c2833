"""What wakes those who wait: an alarm for one sleeping worker, a bell for everybody."""

from __future__ import annotations

import asyncio


class Alarm:
    """Set from anywhere on the event loop; a ring that comes before the wait isn't lost."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake whoever waits, or the next who will."""
        self._event.set()

    async def wait(self, at_most_s: float | None = None) -> None:
        """Return at the next ring, or after `at_most_s`."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()


class Bell:
    """Rung from anywhere on the event loop; wakes everybody who waits for the ring that comes next."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    @property
    def next(self) -> asyncio.Event:
        """Set at the next ring. Take it before you look at what may change, then no ring is missed."""
        return self._next

    def ring(self) -> None:
        """Wake everybody."""
        self._next.set()
        self._next = asyncio.Event()
