"""The ways of drafting that are compared: the same cases, asked of the same model server, one way after the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter

from radbridge.case import Case
from radbridge.config import Memory, load_site
from radbridge.contract import DraftRequest
from radbridge.draft import DraftImpression, FlagKind, Severity
from radbridge.edit import measure_distance
from radbridge.example import MAX_EXAMPLE_CHARS
from radbridge.flow.asking import make_request
from radbridge.flow.drafting import ModelClient
from radbridge.flow.remembering import Recollection
from radbridge.gateway import make_model_client
from radbridge.guard import Guard
from radbridge.memory import Remembered, StyleMemory
from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import WEIGHTS, LoraRegistry, owner_of
from radbridge.rewrites import Attempt, assemble, plan_rewrites
from radbridge_training.serving import read_serving
from radbridge_training.synth.wording import reword
from radbridge_training.turn.training import PREFER, REINFORCE, SFT, find_weights
from tests.bench.loop.editor import read_coarse
from tests.bench.loop.hands import edit_by
from tests.bench.loop.people import Signer
from tests.bench.loop.site import AT_ONCE, Running

_CASE: TypeAdapter[Case] = TypeAdapter(Case)
_DRAFT: TypeAdapter[DraftImpression] = TypeAdapter(DraftImpression)
_REMEMBERED: TypeAdapter[Remembered] = TypeAdapter(Remembered)
_NO_FAULT = (FlagKind.CRITICAL, FlagKind.CONTEXT_CUT)
_ASK_S = 120.0


class Arm(StrEnum):
    """One way of drafting."""

    NONE = "no learning"
    """The base, and no report of the radiologist's."""
    MEMORY = "memory only"
    """The base beside their signed reports."""
    SFT = "SFT"
    """Their LoRA after the supervised step of the newest turn, beside their signed reports; so are the next two."""
    DPO = "SFT + DPO"
    GRPO = "SFT + DPO + GRPO"
    SERVED = "as served"
    """The draft that went out: whatever gate, promotion and watcher let through."""
    PERFECT = "perfect wording"
    """Memory, with every statement worded as the radiologist would: what no weights can be better than."""


LEARNED = {Arm.SFT: ("sft", SFT), Arm.DPO: ("dpo", PREFER), Arm.GRPO: ("grpo", REINFORCE)}
"""Of an arm: the mark behind the radiologist's id, and the step whose weights draft."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One draft and what it cost."""

    round: int
    radiologist: str
    accession: str
    arm: str
    distance: float
    flags: int
    """Of the guard, beside those that are no faults."""
    refused: bool
    """Whether a statement or the whole was left as the findings say it."""
    asked: str


def publish_steps(run: Running, turn: Path, signers: Sequence[Signer]) -> None:
    """The newest turn's weights of each step, as LoRAs of owners that no report is signed by."""
    serving = read_serving(load_site(run.gateway.config))
    registry = LoraRegistry(run.folder / "registry")
    for signer in signers:
        home = turn / owner_of("rad", signer.id)
        for mark, step in LEARNED.values():
            weights = home / step if (home / step / WEIGHTS).is_file() else find_weights(home, step)
            if (weights / WEIGHTS).is_file():
                version = registry.publish(
                    weights,
                    owner_of("rad", f"{signer.id}~{mark}"),
                    base_digest=serving.digest,
                    prompt_version=serving.ways.version,
                )
                registry.promote(version)


async def measure(run: Running, number: int, signers: Sequence[Signer], numbers: Sequence[int]) -> list[Row]:
    """Every way's draft of the cases of a round, edited by the radiologist whose case it is."""
    client = make_model_client(run.url, _ASK_S)
    room = asyncio.Semaphore(AT_ONCE)

    async def take(arm: Arm, signer: Signer, asked: Asked) -> Row:
        async with room:
            made = _word(signer, asked) if arm is Arm.PERFECT else await _draft(run, client, arm, asked)
            signed = await edit_by(run.hands, made.text, signer, asked.place)
            return Row(
                round=number,
                radiologist=signer.id,
                accession=asked.case.key.accession,
                arm=arm,
                distance=measure_distance(made.text, signed),
                flags=await asyncio.to_thread(_count_flags, asked.case, made.text),
                refused=any("refused" in why or "left as they were" in why for why in made.fallback),
                asked=made.asked,
            )

    try:
        rows: list[Row] = []
        for arm in Arm:  # one after the other: the server keeps only so many LoRAs
            mark, alone = LEARNED.get(arm, ("",))[0], arm is Arm.NONE
            asks = ((s, asked) for s in signers for asked in list_requests(run, s, numbers, mark=mark, alone=alone))
            taken = (take(arm, signer, asked) for signer, asked in asks)
            rows += await asyncio.gather(*taken)
        return rows
    finally:
        await client.close()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One case, and what is asked about it."""

    place: int
    case: Case
    request: DraftRequest


@dataclass(frozen=True, kw_only=True)
class Made:
    """A draft."""

    text: str
    asked: str
    fallback: Sequence[str]


def _word(signer: Signer, asked: Asked) -> Made:
    """The statements that would be rewritten, in the words of whoever signs."""
    coarse = read_coarse(signer.cases[asked.place])
    plan = plan_rewrites(coarse.statements, asked.request.examples, PROMPT_VERSION)
    said = [Attempt(text=reword(statement, signer.persona)) for statement in plan.statements]
    rewrite = assemble(plan.statements, said, plan.hand)
    return Made(text=rewrite.text, asked="", fallback=("left as they were",) if rewrite.refused else ())


async def _draft(run: Running, client: ModelClient, arm: Arm, asked: Asked) -> Made:
    """The draft of a way; as served, the one that the journal has."""
    if arm is Arm.SERVED:
        draft = _read_draft(run, asked.case.key.accession)
        return Made(text=draft.text, asked=draft.asked or draft.lora, fallback=draft.fallback)
    answer = await client.draft(asked.request)
    return Made(text=answer.draft, asked=answer.asked or answer.lora, fallback=answer.fallback)


def write_rows(file: Path, rows: Sequence[Row]) -> None:
    """As JSON lines."""
    with file.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(asdict(row)) + "\n" for row in rows)


def read_rows(file: Path) -> list[Row]:
    """What `write_rows` wrote."""
    return [Row(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def list_requests(
    run: Running, signer: Signer, numbers: Sequence[int], *, mark: str, alone: bool = False
) -> Iterator[Asked]:
    """What the gateway would have asked about each case, with the memory as it was before the case was signed.

    Asked of the LoRA of `mark`, or of the base where that is empty; `alone`: without the memory.
    """
    reports = _read_memory(run, signer.id)
    memory, settings = StyleMemory(), Memory()
    left = iter(sorted(reports))
    upcoming = next(left, None)
    whose = f"{signer.id}~{mark}" if mark else ""
    for place in numbers:
        accession = signer.accession(place)
        case = _read_case(run, accession)
        own = next((n for n, (other, _) in reports.items() if other == accession), None)
        while upcoming is not None and (own is None or upcoming < own):
            memory.keep(upcoming, signer.id, reports[upcoming][1].findings)
            upcoming = next(left, None)
        alike = memory.alike(signer.id, case.report.findings[:MAX_EXAMPLE_CHARS], settings.alike)
        chosen = alike + memory.newest(signer.id, settings.newest, without=frozenset(alike))
        examples = () if alone else tuple(reports[n][1].example for n in chosen)
        asked = make_request(f"{mark or 'base'}-{accession}", case, b"", Recollection(examples=examples))
        request = replace(asked, radiologist=whose)
        yield Asked(place=place, case=case, request=request)


def _read_case(run: Running, accession: str) -> Case:
    ((document,),) = run.ask('SELECT document FROM "case" WHERE accession = ?', accession)
    return _CASE.validate_json(document)


def _read_draft(run: Running, accession: str) -> DraftImpression:
    rows = run.ask("SELECT document FROM draft WHERE accession = ? AND state <> 'stale' ORDER BY seq", accession)
    return _DRAFT.validate_json(rows[-1][0])


def _read_memory(run: Running, signer: str) -> dict[int, tuple[str, Remembered]]:
    """The signer's remembered reports by number, with their accessions."""
    rows = run.ask("SELECT number, accession, document FROM memory WHERE signer = ? AND state = 'kept'", signer)
    return {number: (accession, _REMEMBERED.validate_json(document)) for number, accession, document in rows}


def _count_flags(case: Case, text: str) -> int:
    guard = Guard(
        case.report.findings,
        indication=case.indication,
        comparison=case.compared_with,
        sex=case.patient.sex,
        modality=case.study.modality,
        age=case.age,
    )
    return sum(f.severity is not Severity.INFO and f.kind not in _NO_FAULT for f in guard.check(text))
