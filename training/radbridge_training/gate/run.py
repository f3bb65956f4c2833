"""Runs the gate: one real model server for all candidates, each arm's drafts of the same later reports, a verdict each.

<into>/drafts-<arm>.jsonl    what each arm drafted, lines as `radbridge draft` writes them
<into>/verdict.json          `judge.Verdict`
<into>/page.html             the verdict for people
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from radbridge.errors import ModelUnavailable, RadBridgeError
from radbridge.evaluation.rows import DRAFT
from radbridge.evaluation.sums import tabulate_all
from radbridge.gateway import make_model_client
from radbridge.learning import REPORT, Shown
from radbridge.logs import describe
from radbridge.registry import LoraRegistry
from radbridge_training.gate.arms import (
    DEADLINE_S,
    Answered,
    Arm,
    Serve,
    draft_arm,
    enrol,
    name_radiologist,
    serve_embedded,
    settle_settings,
)
from radbridge_training.gate.canaries import CANARY, Canary, prompt_bare, prompt_of
from radbridge_training.gate.figures import gate_measures
from radbridge_training.gate.job import GateJob
from radbridge_training.gate.judge import JUDGED, VERDICT, VERDICT_FILE, Finding, Verdict, judge
from radbridge_training.gate.leakage import Said, check_leakage, count_exposed, show_all
from radbridge_training.gate.page import PAGE_FILE, Told, render
from radbridge_training.gate.parity import check_parity, complete
from radbridge_training.gate.rules import Rules
from radbridge_training.gate.server import GateServer
from radbridge_training.optimize.figures import Tell
from radbridge_training.optimize.generating import Answer
from radbridge_training.optimize.own_drafts import OwnWriter, list_prompts
from radbridge_training.rows import load_rows, write_rows
from radbridge_training.serving import Serving
from radbridge_training.turn_recipe import GatePlan, Load

__all__ = ["GateJob", "run_gate"]

_SHOWN: TypeAdapter[Shown] = TypeAdapter(Shown)
_PHASE = "gate"
Given = TypeVar("Given")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """How every candidate is judged."""

    serving: Serving
    plan: GatePlan
    rules: Rules
    seed: int
    page_texts: bool
    threads: int
    load: Load


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What the server answered for one candidate, and to what."""

    job: GateJob
    later: Sequence[Shown]
    prompts: Sequence[str]
    """All that are put for the later reports; `completions` are of the first ones."""
    arms: Mapping[Arm, Answered]
    completions: Sequence[Answer | None]


def run_gate(
    jobs: Sequence[GateJob],
    *,
    serving: Serving,
    plan: GatePlan,
    rules: Rules,
    work: Path,
    seed: int,
    tell: Tell,
    page_texts: bool = False,
    threads: int = 1,
    load: Load = Load.AUTO,
    serve: Serve = serve_embedded,
) -> Iterator[Verdict]:
    """A verdict for each job, in order, when its folder holds everything.

    `work` is a folder for copies of the LoRAs, which goes when the gate ends. `page_texts`: whether pages show
    de-identified reports. A server that dies is started once more; then ModelUnavailable is raised, and the jobs that
    have no verdict yet get none.
    """
    way = _Way(serving=serving, plan=plan, rules=rules, seed=seed, page_texts=page_texts, threads=threads, load=load)
    registry = LoraRegistry(work / "loras")
    try:
        with GateServer(serve, settle_settings(serving, registry)) as server:
            for number, job in enumerate(jobs):
                tell(_PHASE, number, len(jobs))
                asked = _try(job, way, partial(_ask, job, registry, way, server))
                yield _conclude(job, asked, way)
            tell(_PHASE, len(jobs), len(jobs))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _conclude(job: GateJob, asked: _Asked | Verdict, way: _Way) -> Verdict:
    return asked if isinstance(asked, Verdict) else _try(job, way, partial(_judge, asked, way))


def _try(job: GateJob, way: _Way, work: Callable[[], Given]) -> Given | Verdict:
    """What `work` gives; what is wrong with one candidate, or with its files, is a verdict on it."""
    try:
        return work()
    except ModelUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - weights that break whoever loads them must not cost the others theirs
        reason = str(error) if isinstance(error, RadBridgeError) else describe(error)
        failed = Finding(rule=JUDGED, passed=False, told=reason)
        verdict = Verdict(owner=job.owner, passed=False, findings=(failed,), reports=0, seed=way.seed)
        with suppress(OSError):  # a disk that is full leaves no page either
            _write(job, Told(verdict=verdict, trained=job.trained))
        return verdict


def _ask(job: GateJob, registry: LoraRegistry, way: _Way, server: GateServer) -> _Asked:
    names = enrol(registry, job, way.serving)
    later = load_rows(job.later, _SHOWN)[-way.plan.reports :]
    prompts = list_prompts(later, way.serving.ways)
    compared = prompts[: way.plan.parity_prompts]
    arms, completions = server.ask(lambda url: _ask_all(url, job.radiologist, names, later, compared))
    return _Asked(job=job, later=later, prompts=prompts, arms=arms, completions=completions)


async def _ask_all(
    url: str, radiologist: str, names: Mapping[Arm, str], later: Sequence[Shown], prompts: Sequence[str]
) -> tuple[Mapping[Arm, Answered], list[Answer | None]]:
    """Every arm at once, so that the server's batches hold them all."""
    client = make_model_client(url, DEADLINE_S)
    try:
        drafting = (draft_arm(client, name_radiologist(radiologist, arm), lora, later) for arm, lora in names.items())
        completing = complete(url, names[Arm.CANDIDATE], prompts)
        answered, completions = await asyncio.gather(asyncio.gather(*drafting), completing)
    finally:
        await client.close()
    return dict(zip(names, answered, strict=True)), completions


def _judge(asked: _Asked, way: _Way) -> Verdict:
    job, ways = asked.job, way.serving.ways
    canaries = load_rows(job.canaries, CANARY) if job.canaries else []
    writer = OwnWriter(way.serving.base, job.candidate, ways, threads=way.threads, load=way.load)
    tables = tabulate_all({arm: answered.pairs for arm, answered in asked.arms.items()}, gate_measures())
    by_arm = {Arm(name): table for name, table in tables.items()}
    own = writer.answer(asked.prompts[: len(asked.completions)])
    others = (
        _check_served(asked.arms),
        check_parity(own, asked.completions, way.rules.parity),
        _check_leakage(asked, canaries, writer, way),
    )
    verdict = judge(by_arm, way.rules, owner=job.owner, seed=way.seed, marked=job.marked, others=others)
    triggered = writer.answer([prompt_of(canary, ways) for canary in canaries])
    told = Told(
        verdict=verdict,
        tables=by_arm,
        trained=job.trained,
        canaries=len(canaries),
        exposed=count_exposed([answer.text for answer in triggered], canaries),
        pairs={arm: answered.pairs for arm, answered in asked.arms.items()} if way.page_texts else {},
    )
    for arm, answered in asked.arms.items():
        write_rows(job.into / f"drafts-{arm}.jsonl", DRAFT, (pair.draft for pair in answered.pairs))
    _write(job, told)
    return verdict


def _write(job: GateJob, told: Told) -> None:
    (job.into / PAGE_FILE).write_text(render(told), encoding="utf-8")
    (job.into / VERDICT_FILE).write_bytes(VERDICT.dump_json(told.verdict, indent=1) + b"\n")


def _check_served(arms: Mapping[Arm, Answered]) -> Finding:
    """Whether every draft was asked of the weights that it is taken for: a LoRA that doesn't load is passed over."""
    others = {arm: answered.others for arm, answered in arms.items() if answered.others}
    told = ", ".join(f"{count} drafts of {arm} asked of others" for arm, count in others.items())
    return Finding(
        rule="served",
        passed=not others,
        told=told or "every draft was asked of its own weights",
        value=float(sum(others.values())),
        limit=0.0,
    )


def _check_leakage(asked: _Asked, canaries: Sequence[Canary], writer: OwnWriter, way: _Way) -> Finding:
    """In the drafts as they are served, and in what is drawn at random after the same prompts, and after none."""
    rule, job, ids = way.rules.leakage, asked.job, {shown.report.id for shown in asked.later}
    texts = (pair.draft.draft for pair in asked.arms[Arm.CANDIDATE].pairs)
    said = [Said(text=text, shown=show_all(shown)) for text, shown in zip(texts, asked.later, strict=True)]
    begun = list(islice(cycle([prompt_bare(way.serving.ways), *asked.prompts]), rule.samples))
    drawn = writer.sample(begun, seed=way.seed)
    said += [Said(text=text, shown=prompt) for text, prompt in zip(drawn, begun, strict=True)]
    learned = [report for report in load_rows(job.reports, REPORT) if report.id not in ids] if job.reports else []
    return check_leakage(said, canaries=canaries, identifiers=job.identifiers, learned=learned, run=rule.run)
