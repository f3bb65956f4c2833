"""A destination that is a folder: what would have gone out is written there."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

from radbridge.case import Case
from radbridge.draft import DraftImpression
from radbridge.wire import Sink


class FolderSink:
    """Takes a real sink's place; composes as it does, and reaches nobody. A `radbridge.wire.Sink`."""

    def __init__(self, sink: Sink, folder: Path) -> None:
        """Payloads go below `folder`, which is made."""
        self._sink = sink
        self._folder = folder / sink.name
        self._numbers = count(1)
        self._folder.mkdir(parents=True)

    @property
    def name(self) -> str:
        """The real destination's."""
        return self._sink.name

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """As the real one does."""
        return self._sink.compose(case, draft, control_id)

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """As the real one does."""
        return self._sink.compose_withdrawal(case, draft, control_id)

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Write it, under its number in order of delivery."""
        file = self._folder / f"{next(self._numbers):06d}"
        await asyncio.to_thread(file.write_bytes, payload)
        return "AA"

    async def ping(self) -> None:
        """It is there."""

    async def close(self) -> None:
        """The real one was never opened."""
        await self._sink.close()
