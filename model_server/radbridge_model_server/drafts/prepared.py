"""A draft request with its coarse text, before any model is asked."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from radbridge.coarse import CoarseDraft, draft_coarse
from radbridge.contract import DraftRequest
from radbridge.errors import DeadlinePassed
from radbridge.text import strip_controls

_RESERVE = 0.1
"""Part of the deadline, at most `_MAX_RESERVE_S`, kept to answer with the coarse text when the fine one is late."""
_MAX_RESERVE_S = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A request with its coarse text, which is there in milliseconds. Times are `time.monotonic()`."""

    request: DraftRequest
    """Without control characters: no stage, model or check sees one."""
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
    clean, coarse = await asyncio.to_thread(_draft_coarse, request)
    if time.monotonic() > deadline:
        raise DeadlinePassed(round(deadline - received, 3))
    return Prepared(
        request=clean,
        coarse=coarse.text,
        statements=tuple(s.text for s in coarse.statements),
        received=received,
        deadline=deadline,
        coarse_ms=(time.monotonic() - began) * 1000,
    )


def _draft_coarse(request: DraftRequest) -> tuple[DraftRequest, CoarseDraft]:
    clean = replace(
        request,
        findings=strip_controls(request.findings),
        indication=strip_controls(request.indication),
        comparison=strip_controls(request.comparison),
        prior=strip_controls(request.prior),
    )
    coarse = draft_coarse(
        clean.findings,
        indication=clean.indication,
        comparison=clean.comparison,
        modality=clean.modality,
        sex=clean.sex,
        age=clean.age,
    )
    return clean, coarse
