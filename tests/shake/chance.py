"""When something comes late, and by how much: drawn anew for each test, the same for the same seed."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass, field

SEED = os.environ.get("SHAKE_SEED", "1")


@dataclass
class Chance:
    """So often, by so many seconds; for no longer in one test than `most_s`, which is what its limits are to bear."""

    share: float
    least_s: float = 0.02
    longest_s: float = 0.4
    most_s: float = 10.0
    left_s: float = 0.0
    drawn: random.Random = field(default_factory=lambda: random.Random(SEED))

    def begin(self, test: str) -> None:
        """A test begins."""
        self.left_s = self.most_s
        self.drawn.seed(SEED + test)

    def draw(self) -> float:
        """Seconds by which the next thing comes late; most often 0."""
        if self.left_s <= 0 or self.drawn.random() > self.share:
            return 0.0
        wait_s = self.drawn.uniform(self.least_s, self.longest_s)
        self.left_s -= wait_s
        return wait_s

    async def come_late(self) -> None:
        """Wait for so long."""
        if wait_s := self.draw():
            await asyncio.sleep(wait_s)
