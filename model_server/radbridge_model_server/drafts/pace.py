"""`Pace`: how fast prompts were answered of late, and so when a caller who was turned away may come back."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from radbridge_model_server.engines.engine import EngineStats

_WINDOW_S = 15.0
_LONGEST_S = 60.0


class Pace:
    """Prompts a second over the last seconds, from the engine's own counts. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, stats: EngineStats) -> None:
        """Look at what is done by now."""
        now = self._clock()
        self._seen.append((now, stats.generated))
        while len(self._seen) > 2 and self._seen[1][0] < now - _WINDOW_S:
            self._seen.popleft()

    def drain_s(self, stats: EngineStats) -> float:
        """Seconds until what waits or runs now is written, at the pace of late; 0 where there is none to go by."""
        self.note(stats)
        (began, before), (now, done) = self._seen[0], self._seen[-1]
        rate = (done - before) / (now - began) if now > began else 0.0
        return min(_LONGEST_S, (stats.queued + stats.running) / rate) if rate else 0.0
