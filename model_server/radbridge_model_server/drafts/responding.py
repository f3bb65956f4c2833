"""`Responder`: checks what was written, and answers with the best text that holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from radbridge.contract import DraftResponse
from radbridge.draft import Flag, FlagKind, Stage
from radbridge.guard import Guard
from radbridge.guard.repair import drop_flagged, passes
from radbridge.text import MAX_CHARS, strip_controls
from radbridge_model_server.drafts.asking import Written
from radbridge_model_server.drafts.checking import POLICY, make_guard, name_blocking
from radbridge_model_server.drafts.prepared import Prepared
from radbridge_model_server.drafts.strategies.strategy import Strategy, Verdict, judge_coarse
from radbridge_model_server.engines.engine import Engine
from radbridge_model_server.settings import Repairing

_UNREAD = Flag(
    kind=FlagKind.CONTEXT_CUT,
    message=f"The findings are longer than {MAX_CHARS} characters: what follows was not read.",
)


class _Origin(TypedDict):
    """Whose text it is."""

    stage: Stage
    lora: str
    model: str
    base_digest: str
    prompt_version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Responder:
    """Puts the responses of one strategy together."""

    strategy: Strategy
    engine: Engine | None
    repair: Repairing = "off"
    """What is done about a text that the guard would keep back."""
    lexicon: tuple[Path, ...] = ()
    """The site's own files of words."""

    async def respond(self, prepared: Prepared, written: Written | None, fallback: Sequence[str]) -> DraftResponse:
        """What was written where it holds, else the coarse text; the reasons stand after those in `fallback`."""
        began = time.monotonic()
        verdict = await asyncio.to_thread(self._judge, prepared, written)
        timings = {"guard": _ms_since(began)}
        if written:
            there = [g for g in written.generated if g]
            timings |= {"queue": max(g.queue_ms for g in there), "engine": max(g.engine_ms for g in there)}
        return self._build(prepared, verdict, fallback, timings, asked=written.author.name if written else "")

    def respond_nothing(self, prepared: Prepared) -> DraftResponse:
        """The answer to a request without findings."""
        return self._build(prepared, Verdict(text="", stage=Stage.COARSE), ("no findings to draft from",), {})

    def _judge(self, prepared: Prepared, written: Written | None) -> Verdict:
        guard = make_guard(prepared.request, self.lexicon)
        verdict = self.strategy.judge(prepared, written, guard)
        if self.repair != "off" and (kinds := name_blocking(verdict.flags)):
            repair = _drop if self.repair == "drop" else _take_coarse
            verdict = repair(verdict, kinds, prepared, guard)
        is_long = len(prepared.request.findings) > MAX_CHARS
        notes = (*verdict.notes, _UNREAD) if is_long else verdict.notes
        return replace(verdict, flags=(*verdict.flags, *notes))

    def _build(
        self,
        prepared: Prepared,
        verdict: Verdict,
        fallback: Sequence[str],
        timings: dict[str, float],
        *,
        asked: str = "",
    ) -> DraftResponse:
        spent = {"coarse": prepared.coarse_ms, "queue": 0.0, "engine": 0.0, "guard": 0.0} | timings
        if prepared.site_ms is not None:
            spent["site"] = prepared.site_ms
        return DraftResponse(
            id=prepared.request.id,
            draft=strip_controls(verdict.text),
            fallback=(*fallback, *verdict.reasons),
            flags=verdict.flags,
            ms=round(_ms_since(prepared.received), 3),
            timings_ms={name: round(ms, 3) for name, ms in spent.items()},
            strategy=self.strategy.name,
            coarse_lora=_name_coarse(prepared),
            examples=verdict.examples,
            asked=asked,
            **self._name_origin(prepared, verdict),
        )

    def _name_origin(self, prepared: Prepared, verdict: Verdict) -> _Origin:
        if verdict.author is None or self.engine is None:
            model = prepared.coarse.model
            return {"stage": verdict.stage, "lora": "none", "model": model, "base_digest": "", "prompt_version": ""}
        return {
            "stage": verdict.stage,
            "lora": verdict.author.name,
            "model": self.engine.model,
            "base_digest": self.engine.base_digest,
            "prompt_version": verdict.author.prompt_version,
        }


def _name_coarse(prepared: Prepared) -> str:
    if prepared.coarse_by:
        return prepared.coarse_by.name
    return "retrieved" if prepared.coarse.stage is Stage.RETRIEVED else "none"


def _drop(verdict: Verdict, kinds: str, prepared: Prepared, guard: Guard) -> Verdict:
    """Without the statements objected to, which is told; as it was where the rest doesn't pass."""
    repaired = drop_flagged(verdict.text, verdict.flags, POLICY, guard.check)
    if repaired is None:
        return verdict
    return replace(
        verdict,
        text=repaired.text,
        flags=repaired.flags,
        notes=(*verdict.notes, *repaired.notes),
        reasons=(*verdict.reasons, f"statements left out: {len(repaired.notes)}, the guard objects ({kinds})"),
    )


def _take_coarse(verdict: Verdict, kinds: str, prepared: Prepared, guard: Guard) -> Verdict:
    """The coarse text; what was written where that doesn't pass either."""
    coarse = judge_coarse(prepared, guard, f"text refused: the guard objects ({kinds})")
    if verdict.author is prepared.coarse_by or not coarse.text.strip() or not passes(coarse.flags, POLICY):
        return verdict
    return coarse


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
