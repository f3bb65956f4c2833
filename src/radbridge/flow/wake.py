"""An alarm that a sleeping worker waits for."""

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
