"""A model server that drafts when the test says so."""

from __future__ import annotations

import asyncio

from radbridge.contract import DraftRequest, DraftResponse
from radbridge.testing import FakeModel


class HeldModel(FakeModel):
    """Answers nothing before `free` is set. A `stubborn` one answers even when its caller has hung up by then."""

    def __init__(self, *, stubborn: bool = False) -> None:
        super().__init__(stubborn=stubborn)
        self.asked: list[DraftRequest] = []
        """What came, answered or not."""
        self.free = asyncio.Event()

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """The usual answer, once it may be given."""
        self.asked.append(request)
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            if not self.stubborn:
                raise
        return await super().draft(request)
