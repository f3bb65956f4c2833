"""The ways to repair a draft that the guard keeps back, each to the same standard: what comes of it passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from radbridge.coarse import draft_coarse
from radbridge.contract import DraftRequest
from radbridge.draft import Flag
from radbridge.errors import PromptTooLong
from radbridge.guard import Guard
from radbridge.guard.policy import GuardPolicy
from radbridge.guard.repair import drop_flagged, passes
from radbridge.prompt import PromptInput, build_prompt
from radbridge_model_server.drafts.refusal import find_refusal
from radbridge_model_server.engines.engine import Prompt
from radbridge_model_server.service import Service, start_service
from radbridge_model_server.settings import Settings
from tests.bench.guard.reports import Report

DROP, COARSE, REDRAFT, AGAIN = "drop", "coarse text", "redraft, flags named", "redraft, none named"
WAYS = (DROP, COARSE, REDRAFT, AGAIN)
PERSONAS = {str(n): f"persona/{style}" for n, style in enumerate(("succinct", "elaborate", "numbered"))}
"""A made-up radiologist for each style."""
POLICY = GuardPolicy()
_MAX_NEW_TOKENS = 192


@dataclass(frozen=True)
class Blocked:
    """A report whose impression, taken for a draft, is kept back."""

    report: Report

    @cached_property
    def guard(self) -> Guard:
        r = self.report
        return Guard(r.findings, indication=r.indication, comparison=r.comparison, sex=r.sex, age=r.age)

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        return self.guard.check(self.report.impression)

    @property
    def blocking(self) -> tuple[Flag, ...]:
        return POLICY.judge(self.flags).blocking

    def passes(self, text: str) -> bool:
        """What is asked of a dropped statement's rest too: not blocked, nothing grave left out."""
        return bool(text.strip()) and passes(self.guard.check(text), POLICY)


def drop(blocked: Blocked) -> str:
    """The draft without what was objected to; empty where that doesn't help."""
    repaired = drop_flagged(blocked.report.impression, blocked.flags, POLICY, blocked.guard.check)
    return repaired.text if repaired else ""


def take_coarse(blocked: Blocked) -> str:
    """The coarse stage's text in the draft's place; empty where it doesn't pass."""
    r = blocked.report
    text = draft_coarse(
        r.findings, indication=r.indication, comparison=r.comparison, modality=r.modality, sex=r.sex, age=r.age
    ).text
    return text if blocked.passes(text) else ""


@asynccontextmanager
async def open_drafter() -> AsyncIterator[Service]:
    """The packaged model with its default settings."""
    service = await start_service(Settings(deadline_s=600, max_queue=4096, personas=PERSONAS))
    try:
        yield service
    finally:
        await service.close()


async def draft_own(service: Service, reports: Sequence[Report], on_done: Callable[[], None]) -> list[Report]:
    """The reports with what the packaged model drafts for them in the impression's place, the styles in turn."""

    async def one(n: int, report: Report) -> Report:
        async with room:
            answer = await service.drafter.draft(
                DraftRequest(
                    id=report.id,
                    findings=report.findings,
                    indication=report.indication,
                    comparison=report.comparison,
                    modality=report.modality,
                    sex=report.sex,
                    age=report.age,
                    radiologist=str(n % len(PERSONAS)),
                )
            )
        on_done()
        return replace(report, impression=answer.draft)

    room = asyncio.Semaphore(16)
    return await asyncio.gather(*(one(n, report) for n, report in enumerate(reports)))


async def redraft(
    service: Service, blocked: Sequence[Blocked], on_done: Callable[[], None], *, named: bool
) -> list[str]:
    """What the packaged model makes of draft and findings, told what is wrong or not; empty where it doesn't pass.

    The prompt is that of `radbridge.prompt` with one section more. It stands here and not there because no model was
    trained on it.
    """
    engine, lora = service.engine, service.chain.champion(service.settings.site_lora)
    assert engine

    async def one(what: Blocked) -> str:
        try:
            made = await engine.generate(Prompt(text=_ask(what, named), lora=lora, max_new_tokens=_MAX_NEW_TOKENS))
        except PromptTooLong:
            return ""
        finally:
            on_done()
        return "" if find_refusal(made) or not what.passes(made.text) else made.text

    return await asyncio.gather(*(one(b) for b in blocked))


def _ask(blocked: Blocked, named: bool) -> str:
    r = blocked.report
    case = PromptInput(
        findings=r.findings,
        indication=r.indication,
        comparison=r.comparison,
        modality=r.modality,
        sex=r.sex,
        age=r.age,
        coarse=r.impression,
    )
    said = "; ".join(flag.message for flag in blocked.blocking)
    prompt = build_prompt(case)
    return prompt.replace("\nPreliminary: ", f"\nCorrect these: {said}\nPreliminary: ") if named else prompt
