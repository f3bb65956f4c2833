"""The prefetcher: tells the model server who will soon sign, so that their LoRA is in memory when the text has rested.

A hint and no more: what can't be queued or sent is dropped, and nothing ever waits for it.
"""

from __future__ import annotations

import asyncio
import math
from time import monotonic

import structlog

from radbridge.errors import ModelError
from radbridge.flow.drafting import ModelClient

log = structlog.get_logger(__name__)

AGAIN_S = 180.0
"""A radiologist with case after case is told of once in this time: the server keeps a LoRA for longer than that."""
REMEMBERED = 1024
WAITING = 256


class Prefetcher:
    """Passes radiologists on to one model server, one after the other, until cancelled."""

    def __init__(self, model: ModelClient, *, again_s: float = AGAIN_S) -> None:
        self._model = model
        self._again_s = again_s
        self._waiting = asyncio.Queue[str](WAITING)
        self._told: dict[str, float] = {}
        """When each was told of last, the longest ago first."""

    def expect(self, radiologist: str) -> None:
        """A case of theirs was seen. Never waits and never raises."""
        now = monotonic()
        if now - self._told.get(radiologist, -math.inf) < self._again_s or self._waiting.full():
            return
        self._waiting.put_nowait(radiologist)
        self._told.pop(radiologist, None)
        self._told[radiologist] = now
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]

    async def run(self) -> None:
        """Tell of whoever is expected. A failure is logged, and the next case of that radiologist tries again."""
        while True:
            radiologist = await self._waiting.get()
            try:
                await self._model.prefetch(radiologist)
            except ModelError as error:
                self._told.pop(radiologist, None)
                log.info("no prefetch", radiologist=radiologist, reason=str(error))
            except Exception:
                log.exception("no prefetch", radiologist=radiologist)
