"""The fifth step: every candidate of a turn before the gate, with one model server for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from radbridge.errors import RadBridgeError, RegistryError
from radbridge.learning import REPORT
from radbridge.registry import LoraRegistry, LoraVersion, digest_weights
from radbridge.registry.personas import read_choices
from radbridge.registry.version import read_shape
from radbridge_training.optimize.figures import Tell
from radbridge_training.rows import load_rows
from radbridge_training.serving import Serving
from radbridge_training.staging import drop, put, stage
from radbridge_training.turn.done import Done, digest_inputs, read_done, write_done
from radbridge_training.turn.examples import CANARIES, EXAMPLES, LATER, REPORTS
from radbridge_training.turn.job import Job, Outcome, State
from radbridge_training.turn.plan import find_champion
from radbridge_training.turn.steps import find_reason
from radbridge_training.turn.training import REINFORCE, STEPS, find_weights

if TYPE_CHECKING:
    from radbridge_training.gate.judge import Verdict
    from radbridge_training.gate.rules import Rules
    from radbridge_training.gate.run import GateJob

GATE = "5-gate"
_VERSION = 2


def gate_jobs(
    jobs: Sequence[Job],
    conn: Connection,
    registry: LoraRegistry,
    *,
    serving: Serving,
    secret: bytes,
    page_texts: bool,
    tell: Tell,
) -> Iterator[tuple[Job, Verdict | Outcome]]:
    """The verdict on each job's weights, or why there is none. What was judged before is read, not judged anew.

    Raises ModelUnavailable when no model server can be had.
    """
    from radbridge_training.gate.judge import read_verdict
    from radbridge_training.gate.rules import load_rules
    from radbridge_training.gate.run import run_gate

    rules = load_rules()
    waiting: list[tuple[Job, GateJob, str]] = []
    for job in jobs:
        try:
            asked = _ask(job, conn, registry, serving, secret)
            inputs = _digest(job, asked, rules)
            done = read_done(job.folder / GATE)
            if done and (done.inputs == inputs or _serves(done, asked.champion)):
                drop(job.folder / GATE)
                yield job, read_verdict(job.folder / GATE)
            else:
                waiting.append((job, asked, inputs))
        except (RadBridgeError, OSError) as error:  # `radbridge forget` took it away: the others go on
            reason = find_reason(error)
            yield job, Outcome(owner=job.owner.owner, state=State.FAILED, reason=reason, step=GATE)
    if not waiting:
        return
    recipe = waiting[0][0].recipe
    verdicts = run_gate(
        [asked for _, asked, _ in waiting],
        serving=serving,
        plan=recipe.gate,
        rules=rules,
        work=waiting[0][0].folder.parents[1] / "gate",
        seed=recipe.seed,
        page_texts=page_texts,
        threads=recipe.threads,
        load=recipe.load,
        tell=tell,
    )
    began = time.monotonic()
    for (job, asked, inputs), verdict in zip(waiting, verdicts, strict=True):
        took, began = round(time.monotonic() - began, 3), time.monotonic()
        if verdict.is_none:  # nobody knows how it would have been: a later turn tries again
            drop(job.folder / GATE)
            yield job, Outcome(owner=job.owner.owner, state=State.FAILED, reason=verdict.reason, step=GATE)
            continue
        put_verdict(asked, verdict, job.folder / GATE, inputs=inputs, seconds=took)
        yield job, verdict


def put_verdict(asked: GateJob, verdict: Verdict, folder: Path, *, inputs: str, seconds: float) -> None:
    """Put the gate's folder in place. It names the weights that were judged, so that no others pass for them."""
    told = {"passed": verdict.passed, "reason": verdict.reason, "candidate": digest_weights(asked.candidate)}
    write_done(asked.into, Done(step=GATE, inputs=inputs, seconds=seconds, told=told))
    put(asked.into, folder)


def _ask(job: Job, conn: Connection, registry: LoraRegistry, serving: Serving, secret: bytes) -> GateJob:
    from radbridge_training.gate.identifiers import find_identifiers
    from radbridge_training.gate.run import GateJob

    rows, candidate = job.folder / EXAMPLES, find_weights(job.folder)
    read_shape(candidate)
    champion = find_champion(registry, job.owner.owner)
    return GateJob(
        owner=job.owner.owner,
        radiologist=job.owner.radiologist,
        candidate=candidate,
        later=rows / LATER,
        reports=rows / REPORTS,
        into=stage(job.folder / GATE),
        champion=champion if champion and champion.base_digest == serving.digest else None,
        without=find_without(job.owner.radiologist, registry, serving),
        canaries=rows / CANARIES,
        identifiers=find_identifiers(conn, read_learned(rows).keys(), secret=secret),
        marked=job.owner.marked,
        trained=tell_trained(job.folder),
    )


def find_without(radiologist: str, registry: LoraRegistry, serving: Serving) -> LoraVersion | None:
    """The persona's or the site's version that would draft for them; None where the base would.

    One for another base than the one that is served drafts for nobody.
    """
    personas = serving.settings.get("personas") or {}
    chosen: Mapping[str, str] = {}
    with suppress(RegistryError):  # damaged: the server passes it over too
        chosen = read_choices(registry.root)
    owners = (personas.get(radiologist) or chosen.get(radiologist), serving.site_lora)
    versions = (find_champion(registry, owner) or serving.packaged.get(owner) for owner in owners if owner)
    return next((version for version in versions if version and version.base_digest == serving.digest), None)


def read_learned(rows: Path) -> Mapping[str, int]:
    """The reports that something was learned from, training id -> order; as an example in a prompt is enough."""
    done = read_done(rows)
    upto = int(done.told["learned_upto"]) if done else None
    reports = load_rows(rows / REPORTS, REPORT)
    return {report.id: report.order for report in reports if upto is None or report.order <= upto}


def tell_trained(home: Path) -> dict[str, Any]:
    """What was done, as one flat table: `sft: steps` and the like."""
    told: dict[str, Any] = {}
    for name in (EXAMPLES, *(step.name for step in STEPS)):
        done = read_done(home / name)
        short = name.partition("-")[2]
        for key, value in (done.told if done else {}).items():
            inner = value if isinstance(value, Mapping) else {"": value}
            told |= {f"{short}: {key} {part}".rstrip(): said for part, said in inner.items()}
    return told


def _digest(job: Job, asked: GateJob, rules: Rules) -> str:
    """Of the candidate, of what it is to be better than, and of how that is asked."""
    others = [version.name if version else "" for version in (asked.champion, asked.without)]
    inputs = (_VERSION, job.recipe.gate.model_dump_json(), rules.model_dump_json(), job.recipe.seed, *others)
    return digest_inputs(GATE, repr(inputs), job.folder / REINFORCE)


def _serves(done: Done, champion: LoraVersion | None) -> bool:
    """Whether the candidate passed and drafts already: the turn was killed after that, and nothing is to be asked."""
    candidate = str(done.told.get("candidate", ""))
    return bool(done.told.get("passed")) and champion is not None and candidate.startswith(champion.digest12)
