"""A draft request with its coarse text."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from radbridge.contract import DraftRequest
from radbridge.errors import DeadlinePassed
from radbridge.prompt import PromptInput, Task
from radbridge.registry import LoraVersion
from radbridge.text import strip_controls
from radbridge_model_server.drafts.coarse import CoarseDrafter, CoarseText

_RESERVE = 0.1
"""Part of the deadline, at most `_MAX_RESERVE_S`, kept to answer with the coarse text when the fine one is late."""
_MAX_RESERVE_S = 0.25
_NOTHING = CoarseText(text="", statements=())


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """Weights that wrote a text."""

    lora: LoraVersion | None
    """None: the base alone."""
    prompt_version: str

    @property
    def name(self) -> str:
        """As drafts tell it."""
        return self.lora.name if self.lora else "base"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """When the engine must be done. Both are `time.monotonic()`."""

    engine: float
    """What it is told."""
    latest: float
    """When nobody waits for it any more, should it not keep to that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A request with its coarse text, which is there in milliseconds. Times are `time.monotonic()`."""

    request: DraftRequest
    """Without control characters: no stage, model or check sees one."""
    coarse: CoarseText
    received: float
    deadline: float
    """When the answer must leave."""
    coarse_ms: float
    """Of the stage before any LoRA."""
    coarse_by: Author | None = None
    """The LoRA, or the base, that wrote the coarse text; None: no LoRA did."""
    site_ms: float | None = None
    """What the site LoRA took to write it, or to fail to; None where it wasn't asked."""
    reasons: tuple[str, ...] = ()
    """Why something better isn't the coarse text."""

    @property
    def limits(self) -> Limits:
        """For the coarse text still to come in time when the engine is late."""
        reserve = min((self.deadline - self.received) * _RESERVE, _MAX_RESERVE_S)
        return Limits(engine=self.deadline - reserve, latest=self.deadline - reserve / 2)

    def as_input(self) -> PromptInput:
        """What a prompt may show of the case, but for the coarse text."""
        request = self.request
        return PromptInput(
            findings=request.findings,
            indication=request.indication,
            comparison=request.comparison,
            prior=request.prior,
            modality=request.modality,
            sex=request.sex,
            age=request.age,
            examples=request.examples,
            task=Task(request.task),
        )


async def prepare(request: DraftRequest, coarse: CoarseDrafter, *, received: float, deadline: float) -> Prepared:
    """The coarse stage. To expand there is none. Raises DeadlinePassed."""
    began = time.monotonic()
    clean, text = await asyncio.to_thread(_draft_coarse, request, coarse)
    if time.monotonic() > deadline:
        raise DeadlinePassed(round(deadline - received, 3))
    return Prepared(
        request=clean,
        coarse=text,
        received=received,
        deadline=deadline,
        coarse_ms=(time.monotonic() - began) * 1000,
    )


def _draft_coarse(request: DraftRequest, drafter: CoarseDrafter) -> tuple[DraftRequest, CoarseText]:
    clean = replace(
        request,
        findings=strip_controls(request.findings),
        indication=strip_controls(request.indication),
        comparison=strip_controls(request.comparison),
        prior=strip_controls(request.prior),
        examples=tuple(
            replace(e, impression=strip_controls(e.impression), findings=strip_controls(e.findings))
            for e in request.examples
        ),
    )
    return clean, drafter.draft(clean) if clean.task == "impression" else _NOTHING
