"""From findings to a draft: coarse, then fine by the signer's LoRA, then checked; the best text that holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict

import structlog

from radbridge.coarse import draft_coarse
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import Flag, Severity, Stage
from radbridge.errors import DeadlinePassed, LoraRefused, ModelOverloaded, ModelUnavailable, PromptTooLong
from radbridge.guard import check_draft
from radbridge.prompt import PROMPT_VERSION, PromptInput
from radbridge.registry import LoraVersion
from radbridge_model_server.context import fit_prompt
from radbridge_model_server.engine import Engine, Generated, Prompt
from radbridge_model_server.lora_chain import LoraChain
from radbridge_model_server.refusal import assemble, find_objection, find_refusal

log = structlog.get_logger(__name__)

_RESERVE = 0.1
"""Part of the deadline, at most `_MAX_RESERVE_S`, kept to answer with the coarse text when the fine one is late."""
_MAX_RESERVE_S = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A request with its coarse text, which is there in milliseconds."""

    request: DraftRequest
    coarse: str = field(repr=False)
    statements: tuple[str, ...] = field(repr=False)
    """What the coarse text is made of: each is rewritten by itself."""
    began: float
    deadline: float
    """`time.monotonic()` by which the answer must leave."""
    coarse_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    """What the engine made of one request: a text for each statement, or one for the whole."""

    generated: tuple[Generated, ...]
    lora: LoraVersion | None
    cut: bool


class Drafter:
    """Answers draft requests. Without an engine every draft is the coarse one."""

    def __init__(
        self, *, engine: Engine | None, chain: LoraChain, whole: bool, max_new_tokens: int, deadline_s: float
    ) -> None:
        self._engine = engine
        self._chain = chain
        self._whole = whole
        self._max_new_tokens = max_new_tokens
        self._deadline_s = deadline_s

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """The draft for one request. Raises ModelOverloaded, or DeadlinePassed when there is no text at all in time."""
        return await self.complete(await self.prepare(request))

    async def prepare(self, request: DraftRequest) -> Prepared:
        """The coarse stage. Raises DeadlinePassed."""
        began = time.monotonic()
        asked_s = self._deadline_s if request.deadline_ms is None else request.deadline_ms / 1000
        deadline = began + min(asked_s, self._deadline_s)
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
            raise DeadlinePassed(deadline - began)
        coarse_ms = _ms_since(began)
        statements = tuple(s.text for s in coarse.statements)
        return Prepared(
            request=request,
            coarse=coarse.text,
            statements=statements,
            began=began,
            deadline=deadline,
            coarse_ms=coarse_ms,
        )

    async def complete(self, prepared: Prepared) -> DraftResponse:
        """The fine stage and the check. Raises ModelOverloaded."""
        fallback: list[str] = []
        if not prepared.coarse.strip() and not (self._whole and prepared.request.findings.strip()):
            return _respond(prepared, "", (), ["no findings to draft from"])
        if self._engine is None:
            return await self._respond_coarse(prepared, fallback)
        written = await self._write(self._engine, prepared, fallback)
        if written is None:
            return await self._respond_coarse(prepared, fallback)
        respond = self._respond_whole if self._whole else self._respond_fine
        return await respond(self._engine, prepared, written, fallback)

    async def _write(self, engine: Engine, prepared: Prepared, fallback: list[str]) -> _Written | None:
        """The texts by the first LoRA of the chain that works; None, with the reason added, when there is none."""
        texts, cut = await asyncio.to_thread(self._build_prompts, engine, prepared)
        for link in self._chain.links(prepared.request.radiologist):
            if link.missing:
                fallback.append(link.missing)
                continue
            deadline, most = _engine_deadline(prepared), self._max_new_tokens
            prompts = [Prompt(text=t, lora=link.lora, max_new_tokens=most, deadline=deadline) for t in texts]
            try:
                return _Written(generated=await _generate(engine, prompts), lora=link.lora, cut=cut)
            except LoraRefused as refusal:
                log.warning("LoRA refused", lora=refusal.version, reason=refusal.reason)
                fallback.append(f"{link.label} refused: {refusal.reason}")
            except ModelOverloaded:
                raise
            except (DeadlinePassed, PromptTooLong, ModelUnavailable) as error:
                fallback.append(_NO_FINE_TEXT[type(error)])
                return None
        return None

    def _build_prompts(self, engine: Engine, prepared: Prepared) -> tuple[list[str], bool]:
        """The prompts, and whether findings were cut to fit.

        The whole path sees all. A rewrite sees its own statement: beside a whole report a small model loses its place
        while it copies (`docs/decisions/0008-a-rewrite-keeps-what-it-rewrites.md`).
        """
        request = prepared.request
        case = PromptInput(
            findings=request.findings,
            indication=request.indication,
            comparison=request.comparison,
            modality=request.modality,
            sex=request.sex,
            age=request.age,
        )
        views = (
            [case]
            if self._whole
            else [replace(case, findings=s, indication="", comparison="", coarse=s) for s in prepared.statements]
        )
        limit = engine.context_tokens - self._max_new_tokens
        fitted = [fit_prompt(view, count=engine.count_tokens, limit=limit) for view in views]
        return [text for text, _ in fitted], any(cut for _, cut in fitted)

    async def _respond_fine(
        self, engine: Engine, prepared: Prepared, written: _Written, fallback: list[str]
    ) -> DraftResponse:
        """The rewritten statements; the coarse text where none of them holds, or the guard objects to the whole."""
        began = time.monotonic()
        rewrite = assemble(prepared.statements, written.generated)
        flags = await asyncio.to_thread(_check, rewrite.text, prepared.request)
        coarse_flags = await asyncio.to_thread(_check, prepared.coarse, prepared.request)
        kept, count = len(rewrite.refused), len(prepared.statements)
        reasons = ", ".join(dict.fromkeys(rewrite.refused))
        objection = reasons if kept == count else find_objection(flags, coarse_flags)
        if objection:
            timings = _timings(written, began)
            return _respond(
                prepared, prepared.coarse, coarse_flags, [*fallback, f"fine text refused: {objection}"], timings
            )
        if kept:
            fallback.append(f"{kept} of {count} statements left as they were: {reasons}")
        timings = _timings(written, began)
        return _respond(prepared, rewrite.text, flags, fallback, timings, **_origin(engine, written, Stage.FINE))

    async def _respond_whole(
        self, engine: Engine, prepared: Prepared, written: _Written, fallback: list[str]
    ) -> DraftResponse:
        """One text from findings to impression; the coarse text where it is no text."""
        began = time.monotonic()
        [generated] = written.generated
        refusal = find_refusal(generated)
        text = prepared.coarse if refusal else generated.text
        flags = await asyncio.to_thread(_check, text, prepared.request)
        if refusal:
            return _respond(prepared, text, flags, [*fallback, f"text refused: {refusal}"], _timings(written, began))
        if written.cut:
            flags = (*flags, _CONTEXT_CUT)
        timings = _timings(written, began)
        return _respond(prepared, text, flags, fallback, timings, **_origin(engine, written, Stage.WHOLE))

    async def _respond_coarse(self, prepared: Prepared, fallback: list[str]) -> DraftResponse:
        began = time.monotonic()
        flags = await asyncio.to_thread(_check, prepared.coarse, prepared.request)
        return _respond(prepared, prepared.coarse, flags, fallback, {"guard": _ms_since(began)})


_NO_FINE_TEXT: dict[type[Exception], str] = {
    DeadlinePassed: "no fine text before the deadline",
    PromptTooLong: "no fine text: too long for the model's context",
    ModelUnavailable: "no fine text: the engine failed",
}
_CONTEXT_CUT = Flag(
    kind="context_cut",
    message="The findings are longer than the model's context: it did not see all sentences from their middle.",
    severity=Severity.WARNING,
)


def _check(text: str, request: DraftRequest) -> tuple[Flag, ...]:
    return check_draft(
        text,
        request.findings,
        indication=request.indication,
        comparison=request.comparison,
        sex=request.sex,
        modality=request.modality,
        age=request.age,
    )


async def _generate(engine: Engine, prompts: Sequence[Prompt]) -> tuple[Generated, ...]:
    """All of them, side by side; when one fails nobody waits for the others."""
    tasks = [asyncio.create_task(engine.generate(prompt)) for prompt in prompts]
    try:
        return tuple(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def _timings(written: _Written, began: float) -> dict[str, float]:
    return {
        "queue": max(g.queue_ms for g in written.generated),
        "engine": max(g.engine_ms for g in written.generated),
        "guard": _ms_since(began),
    }


class _Origin(TypedDict):
    """Whose text it is."""

    stage: Stage
    lora: str
    model: str
    base_digest: str
    prompt_version: str


def _origin(engine: Engine, written: _Written, stage: Stage) -> _Origin:
    return {
        "stage": stage,
        "lora": written.lora.name if written.lora else "base",
        "model": engine.model,
        "base_digest": engine.base_digest,
        "prompt_version": PROMPT_VERSION,
    }


def _respond(
    prepared: Prepared,
    text: str,
    flags: Sequence[Flag],
    fallback: Sequence[str],
    timings: dict[str, float] | None = None,
    *,
    stage: Stage = Stage.COARSE,
    lora: str = "none",
    model: str = "extractive",
    base_digest: str = "",
    prompt_version: str = "",
) -> DraftResponse:
    spent = {"coarse": prepared.coarse_ms, "queue": 0.0, "engine": 0.0, "guard": 0.0} | (timings or {})
    return DraftResponse(
        id=prepared.request.id,
        draft=text,
        lora=lora,
        model=model,
        base_digest=base_digest,
        prompt_version=prompt_version,
        stage=stage,
        fallback=tuple(fallback),
        flags=tuple(flags),
        ms=round(_ms_since(prepared.began), 3),
        timings_ms={name: round(ms, 3) for name, ms in spent.items()},
    )


def _engine_deadline(prepared: Prepared) -> float:
    allowed = prepared.deadline - prepared.began
    return prepared.deadline - min(allowed * _RESERVE, _MAX_RESERVE_S)


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
