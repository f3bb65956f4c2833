"""Whose drafts are compared, and how they are asked for: of one real model server, as the gateway would ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from radbridge.config import Model
from radbridge.contract import DraftRequest
from radbridge.embedded import EmbeddedModelServer
from radbridge.errors import ModelError, ModelOverloaded, ModelUnavailable
from radbridge.evaluation.rows import Draft, Pair, Reference
from radbridge.flow.drafting import ModelClient
from radbridge.learning import Shown, TrainingReport
from radbridge.registry import LoraRegistry, owner_of
from radbridge_training.gate.job import GateJob
from radbridge_training.serving import Serving

DEADLINE_S = 300.0
"""For one draft: the gate waits for slow machines, its reports wait for nobody."""
_AT_ONCE = 8

Serve: TypeAlias = Callable[[Mapping[str, Any]], AbstractAsyncContextManager[str]]
"""From a model server's settings to its URL, while it runs. Raises ModelUnavailable when it doesn't start."""


class Arm(StrEnum):
    """Each is asked for the same reports, beside the same examples of the radiologist's own."""

    CANDIDATE = "candidate"
    """The weights that would be published."""
    CHAMPION = "champion"
    """Those that serve the radiologist now."""
    WITHOUT = "without"
    """What the site would serve them without weights of their own: a persona's or the site's."""
    BASE = "base"
    """The base model alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """One arm's drafts of the later reports."""

    pairs: tuple[Pair, ...]
    others: int
    """Drafts that other weights were asked for than the arm's own."""


@asynccontextmanager
async def serve_embedded(settings: Mapping[str, Any]) -> AsyncIterator[str]:
    """A model server as a child process."""
    async with EmbeddedModelServer(Model(), settings=settings) as server:
        yield server.url


def settle_settings(serving: Serving, registry: LoraRegistry) -> dict[str, Any]:
    """The site's own settings, over a registry that holds copies, and without weights that stand in for others'."""
    return {
        **serving.settings,
        "base": str(serving.base.resolve()),
        "loras": str(registry.root.resolve()),
        "site_lora": "",
        "deadline_s": DEADLINE_S,
    }


def enrol(registry: LoraRegistry, job: GateJob, serving: Serving) -> dict[Arm, str]:
    """Put copies of the job's LoRAs into the scratch registry; for each arm that is there its LoRA's whole name.

    Raises LoraRefused for weights that can't be published.
    """
    folders = [(Arm.CANDIDATE, job.candidate, serving.ways.version)]
    kept = ((Arm.CHAMPION, job.champion), (Arm.WITHOUT, job.without))
    folders += [(arm, lora.path, lora.prompt_version) for arm, lora in kept if lora]
    names = {}
    for arm, folder, version in folders:
        owner = owner_of("rad", name_radiologist(job.radiologist, arm))
        lora = registry.publish(folder, owner, base_digest=serving.digest, prompt_version=version)
        registry.promote(lora)
        names[arm] = lora.name
    return names | {Arm.BASE: "base"}


def name_radiologist(radiologist: str, arm: Arm) -> str:
    """Who is asked for: `1001~candidate`; nobody for the base."""
    return "" if arm is Arm.BASE else f"{radiologist}~{arm}"


async def draft_arm(client: ModelClient, radiologist: str, lora: str, later: Sequence[Shown]) -> Answered:
    """A draft of each later report, beside the examples that it is shown with. Raises ModelUnavailable."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def ask(number: int, shown: Shown) -> tuple[Pair, bool]:
        async with turns:
            draft, asked = await _ask(client, radiologist, shown)
        return Pair(number=number, reference=refer(shown.report), draft=draft), asked in ("", lora)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(number, shown)) for number, shown in enumerate(later, 1)]
    except* ModelUnavailable as lost:
        raise ModelUnavailable(str(lost.exceptions[0])) from None
    told = [task.result() for task in tasks]
    return Answered(pairs=tuple(pair for pair, _ in told), others=sum(not own for _, own in told))


def refer(report: TrainingReport) -> Reference:
    """A report as the measures take it."""
    return Reference(
        id=report.id,
        impression=report.signed,
        findings=report.findings,
        indication=report.indication,
        comparison=report.comparison,
        modality=report.modality,
        sex=report.sex,
        age=report.age,
    )


async def _ask(client: ModelClient, radiologist: str, shown: Shown) -> tuple[Draft, str]:
    """The draft, and which weights were asked for it; empty where that isn't told."""
    request = _request(shown, radiologist)
    while True:
        try:
            answer = await client.draft(request)
        except ModelOverloaded as full:
            await asyncio.sleep(full.retry_after_s)
        except ModelUnavailable:
            raise
        except ModelError as error:  # such as a prompt that the model can't take: no draft, as it would be served
            return Draft(id=request.id, error=type(error).__name__), ""
        else:
            draft = Draft(
                id=request.id,
                draft=answer.draft,
                stage=answer.stage,
                fallback=answer.fallback,
                examples=answer.examples,
                ms=answer.ms,
            )
            return draft, answer.asked


def _request(shown: Shown, radiologist: str) -> DraftRequest:
    report = shown.report
    return DraftRequest(
        id=report.id,
        findings=report.findings,
        indication=report.indication,
        comparison=report.comparison,
        prior=report.prior,
        modality=report.modality,
        sex=report.sex,
        age=report.age,
        radiologist=radiologist,
        examples=shown.examples,
    )
