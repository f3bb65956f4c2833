"""A draft request with its coarse text, before any model is asked."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from radbridge.coarse import draft_coarse
from radbridge.contract import DraftRequest
from radbridge.errors import DeadlinePassed

_RESERVE = 0.1
"""Part of the deadline, at most `_MAX_RESERVE_S`, kept to answer with the coarse text when the fine one is late."""
_MAX_RESERVE_S = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A request with its coarse text, which is there in milliseconds. Times are `time.monotonic()`."""

    request: DraftRequest
    coarse: str = field(repr=False)
    statements: tuple[str, ...] = field(repr=False)
    """What the coarse text is made of: each is rewritten by itself."""
    received: float
    deadline: float
    """When the answer must leave."""
    coarse_ms: float

    @property
    def engine_deadline(self) -> float:
        """When the engine must be done, for the coarse text still to come in time."""
        allowed = self.deadline - self.received
        return self.deadline - min(allowed * _RESERVE, _MAX_RESERVE_S)


async def prepare(request: DraftRequest, *, received: float, deadline: float) -> Prepared:
    """The coarse stage. Raises DeadlinePassed."""
    began = time.monotonic()
    coarse = await asyncio.to_thread(
        draft_coarse,
        request.findings,
        indication=request.indication,
        comparison=request.comparison,
        modality=request.modality,
        sex=request.sex,
        age=request.age,
    )
    if time.monotonic() > deadline:
        raise DeadlinePassed(round(deadline - received, 3))
    return Prepared(
        request=request,
        coarse=coarse.text,
        statements=tuple(s.text for s in coarse.statements),
        received=received,
        deadline=deadline,
        coarse_ms=(time.monotonic() - began) * 1000,
    )
