"""`Responder`: checks what was written, and answers with the best text that holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict

from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import Flag, Severity, Stage
from radbridge.guard import Guard
from radbridge.guard.policy import GuardPolicy
from radbridge.guard.repair import drop_flagged, passes
from radbridge.text import MAX_CHARS, strip_controls
from radbridge_model_server.drafts.prepared import Prepared
from radbridge_model_server.drafts.refusal import assemble, find_objection, find_refusal
from radbridge_model_server.drafts.writing import Written
from radbridge_model_server.engines.engine import Engine
from radbridge_model_server.settings import Repairing

_POLICY = GuardPolicy()
"""The default one: the site's own is the gateway's to apply."""
_CUT = "context_cut"
_MODEL_CUT = Flag(
    kind=_CUT,
    message="The findings are longer than the model's context: it did not see all sentences from their middle.",
)
_STATEMENT_KEPT = Flag(
    kind=_CUT,
    message="A statement is longer than the model's context: it stands in the words of the findings.",
    severity=Severity.INFO,
)
_UNREAD = Flag(kind=_CUT, message=f"The findings are longer than {MAX_CHARS} characters: what follows was not read.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Verdict:
    """The text to show, and what is to be known of it."""

    text: str = field(repr=False)
    flags: tuple[Flag, ...] = ()
    """The guard's."""
    notes: tuple[Flag, ...] = ()
    """How the text came to be."""
    reasons: tuple[str, ...] = ()
    is_models: bool = False
    """Whether it is what the engine wrote; else it is the coarse text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Responder:
    """Puts responses together. Without an engine every one is coarse."""

    engine: Engine | None
    whole: bool
    prompt_version: str
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
        return self._build(prepared, written, verdict, fallback, timings)

    def respond_nothing(self, prepared: Prepared) -> DraftResponse:
        """The answer to a request without findings."""
        return self._build(prepared, None, _Verdict(text="", reasons=("no findings to draft from",)), (), {})

    def _judge(self, prepared: Prepared, written: Written | None) -> _Verdict:
        guard = _guard(prepared.request, self.lexicon)
        if written is None:
            verdict = _Verdict(text=prepared.coarse, flags=guard.check(prepared.coarse))
        elif self.whole:
            verdict = _judge_whole(prepared, written, guard)
        else:
            verdict = _judge_rewrite(prepared, written, guard)
        if self.repair != "off" and (kinds := _find_blocking(verdict.flags)):
            repair = _drop if self.repair == "drop" else _take_coarse
            verdict = repair(verdict, kinds, prepared, guard)
        is_long = len(prepared.request.findings) > MAX_CHARS
        notes = (*verdict.notes, _UNREAD) if is_long else verdict.notes
        return replace(verdict, flags=(*verdict.flags, *notes))

    def _build(
        self,
        prepared: Prepared,
        written: Written | None,
        verdict: _Verdict,
        fallback: Sequence[str],
        timings: dict[str, float],
    ) -> DraftResponse:
        spent = {"coarse": prepared.coarse_ms, "queue": 0.0, "engine": 0.0, "guard": 0.0} | timings
        origin = self._origin(written) if written and verdict.is_models else _EXTRACTIVE
        return DraftResponse(
            id=prepared.request.id,
            draft=strip_controls(verdict.text),
            fallback=(*fallback, *verdict.reasons),
            flags=verdict.flags,
            ms=round(_ms_since(prepared.received), 3),
            timings_ms={name: round(ms, 3) for name, ms in spent.items()},
            **origin,
        )

    def _origin(self, written: Written) -> _Origin:
        return {
            "stage": Stage.WHOLE if self.whole else Stage.FINE,
            "lora": written.lora.name if written.lora else "base",
            "model": self.engine.model if self.engine else "",
            "base_digest": self.engine.base_digest if self.engine else "",
            "prompt_version": self.prompt_version,
        }


class _Origin(TypedDict):
    """Whose text it is."""

    stage: Stage
    lora: str
    model: str
    base_digest: str
    prompt_version: str


_EXTRACTIVE: _Origin = {
    "stage": Stage.COARSE,
    "lora": "none",
    "model": "extractive",
    "base_digest": "",
    "prompt_version": "",
}


def _judge_rewrite(prepared: Prepared, written: Written, guard: Guard) -> _Verdict:
    """The rewritten statements; the coarse text where none of them holds, or the guard objects to the whole."""
    rewrite = assemble(prepared.statements, written.generated)
    flags, coarse_flags = guard.check(rewrite.text), guard.check(prepared.coarse)
    kept, count = len(rewrite.refused), len(prepared.statements)
    reasons = ", ".join(dict.fromkeys(rewrite.refused))
    objection = reasons if kept == count else find_objection(flags, coarse_flags)
    if objection:
        return _Verdict(text=prepared.coarse, flags=coarse_flags, reasons=(f"fine text refused: {objection}",))
    return _Verdict(
        text=rewrite.text,
        flags=flags,
        notes=(_STATEMENT_KEPT,) if None in written.generated else (),
        reasons=(f"{kept} of {count} statements left as they were: {reasons}",) if kept else (),
        is_models=True,
    )


def _judge_whole(prepared: Prepared, written: Written, guard: Guard) -> _Verdict:
    """One text from findings to impression; the coarse text where it is no text."""
    [generated] = written.generated
    refusal = find_refusal(generated) if generated else "it is empty"
    text = generated.text if generated and not refusal else prepared.coarse
    flags = guard.check(text)
    if refusal:
        return _Verdict(text=text, flags=flags, reasons=(f"text refused: {refusal}",))
    return _Verdict(text=text, flags=flags, notes=(_MODEL_CUT,) if written.cut else (), is_models=True)


def _find_blocking(flags: Sequence[Flag]) -> str:
    """The kinds that keep a text back."""
    return ", ".join(dict.fromkeys(f.kind for f in _POLICY.judge(flags).blocking))


def _drop(verdict: _Verdict, kinds: str, prepared: Prepared, guard: Guard) -> _Verdict:
    """Without the statements objected to, which is told; as it was where the rest doesn't pass."""
    repaired = drop_flagged(verdict.text, verdict.flags, _POLICY, guard.check)
    if repaired is None:
        return verdict
    return replace(
        verdict,
        text=repaired.text,
        flags=repaired.flags,
        notes=(*verdict.notes, *repaired.notes),
        reasons=(*verdict.reasons, f"statements left out: {len(repaired.notes)}, the guard objects ({kinds})"),
    )


def _take_coarse(verdict: _Verdict, kinds: str, prepared: Prepared, guard: Guard) -> _Verdict:
    """The coarse text; what was written where that doesn't pass either."""
    flags = guard.check(prepared.coarse)
    if not verdict.is_models or not prepared.coarse.strip() or not passes(flags, _POLICY):
        return verdict
    return _Verdict(text=prepared.coarse, flags=flags, reasons=(f"text refused: the guard objects ({kinds})",))


def _guard(request: DraftRequest, lexicon: tuple[Path, ...]) -> Guard:
    return Guard(
        request.findings,
        indication=request.indication,
        comparison=request.comparison,
        sex=request.sex,
        modality=request.modality,
        age=request.age,
        lexicon=lexicon,
    )


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
