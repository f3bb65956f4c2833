"""The gate over a real model server, on the packaged base: what is judged is what would be served."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from pydantic import TypeAdapter

from radbridge.case import CaseKey
from radbridge.errors import ModelUnavailable
from radbridge.journal.learning import name_report
from radbridge.learning import REPORT, Shown, TrainingReport, show_earlier
from radbridge.registry import LoraVersion
from radbridge.registry.version import read_version
from radbridge_model_server.service import start_service
from radbridge_model_server.settings import Settings
from radbridge_training.gate.canaries import CANARY, make_canaries
from radbridge_training.gate.identifiers import find_identifiers
from radbridge_training.gate.judge import Finding, Verdict, read_verdict
from radbridge_training.gate.rules import Leakage, load_rules
from radbridge_training.gate.run import GateJob, run_gate
from radbridge_training.gate.server import GateServer
from radbridge_training.rows import write_rows
from radbridge_training.serving import Serving, serve_base
from radbridge_training.synth import generate_reports, rewrite
from radbridge_training.synth.mixture import PLAIN
from radbridge_training.turn_recipe import GatePlan
from tests.support.room import room
from tests.support.serving import listening

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

RADIOLOGIST = "900001"
SECRET = b"secret"
SHOWN: TypeAdapter[Shown] = TypeAdapter(Shown)
PLAN = GatePlan(reports=4, parity_prompts=2)
RULES = load_rules().model_copy(update={"leakage": Leakage(run=12, samples=4)})


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server counts as lost where it can't be reached, not where the machine stands still."""
    monkeypatch.setattr("radbridge_adapters.model.client._CONNECT_S", 600.0)


class Here:
    """Model servers in this process. The first `dying` of them answer nothing."""

    def __init__(self, dying: int = 0) -> None:
        self.dying = dying
        self.started = 0

    @asynccontextmanager
    async def __call__(self, settings: Mapping[str, Any]) -> AsyncIterator[str]:
        self.started += 1
        if self.started <= self.dying:
            yield "http://127.0.0.1:9"
            return
        async with listening(await start_service(Settings(**settings))) as url:
            yield url


@pytest.fixture(scope="module")
def serving() -> Serving:
    return serve_base({"threads": 1})


@pytest.fixture(scope="module")
def rows() -> list[TrainingReport]:
    """Short reports of one who signs in the style of a packaged persona."""
    reports = (report for report in generate_reports(990_777, 60, PLAIN) if len(report.statements) <= 2)
    return [
        TrainingReport(
            id=f"{number:016x}",
            order=number,
            radiologist=RADIOLOGIST,
            patient=f"p{number}",
            findings=" ".join(report.statements),
            signed=rewrite(report.statements, "numbered"),
            modality=report.modality,
        )
        for number, report in enumerate(islice(reports, 5), 1)
    ]


def lora(serving: Serving, name: str) -> LoraVersion:
    return read_version(serving.base.parent / "loras" / name)


def make_job(
    work: Path,
    serving: Serving,
    rows: list[TrainingReport],
    name: str,
    *,
    radiologist: str = RADIOLOGIST,
    champion: LoraVersion | None = None,
    without: LoraVersion | None = None,
) -> GateJob:
    """A candidate with a packaged persona's weights; nothing of the radiologist's own hand is shown to it."""
    work.mkdir()
    (work / "into").mkdir()
    write_rows(work / "later.jsonl", SHOWN, (replace(s, examples=()) for s in show_earlier(rows, alike=0, newest=0)))
    write_rows(work / "reports.jsonl", REPORT, rows)
    write_rows(work / "canaries.jsonl", CANARY, make_canaries(b"made up" * 5, "turn", "rad/900001", 2))
    return GateJob(
        owner=f"rad/{radiologist}",
        radiologist=radiologist,
        champion=champion,
        without=without,
        candidate=lora(serving, name).path,
        later=work / "later.jsonl",
        reports=work / "reports.jsonl",
        canaries=work / "canaries.jsonl",
        into=work / "into",
        trained={"sft: steps": 28},
    )


def run(jobs: list[GateJob], serving: Serving, work: Path, here: Here) -> list[Verdict]:
    told: list[tuple[str, int, int]] = []
    gate = run_gate(
        jobs,
        serving=serving,
        plan=PLAN,
        rules=RULES,
        work=work / "gate",
        seed=3,
        tell=lambda *args: told.append(args),
        page_texts=True,
        serve=here,
    )
    verdicts = list(gate)
    assert told[-1] == ("gate", len(jobs), len(jobs))
    assert not (work / "gate").exists()
    return verdicts


def by_rule(verdict: Verdict) -> dict[tuple[str, str], Finding]:
    return {(finding.rule, finding.against): finding for finding in verdict.findings}


def test_who_writes_like_the_signer_passes_and_another_does_not(
    tmp_path: Path, serving: Serving, rows: list[TrainingReport]
) -> None:
    """Two candidates on one server, which dies once: the signer's own style is published, another's is not."""
    champion = lora(serving, "elaborate")
    jobs = [
        make_job(tmp_path / "own", serving, rows, "numbered", champion=champion),
        make_job(tmp_path / "other", serving, rows, "elaborate", radiologist="7", without=lora(serving, "numbered")),
    ]
    here = Here(dying=1)
    own, other = run(jobs, serving, tmp_path, here)
    assert here.started == 2
    assert own.passed, own.reason
    assert (own.owner, own.reports) == ("rad/900001", 4)
    found = by_rule(own)
    assert found["edit_distance", "champion"].value is not None
    assert found["parity", ""].value == 1.0
    assert found["served", ""].passed
    assert found["leakage", ""].told == "none in 8 texts"
    assert not other.passed
    assert not by_rule(other)["edit_distance", "without"].passed
    assert "edit_distance against without" in other.reason
    assert read_verdict(jobs[0].into) == own
    assert {path.name for path in jobs[0].into.iterdir()} == {
        "drafts-candidate.jsonl", "drafts-champion.jsonl", "drafts-base.jsonl", "verdict.json", "page.html",
    }  # fmt: skip
    page = jobs[1].into.joinpath("page.html").read_text()
    assert "nothing is published" in page
    drafts = [json.loads(line) for line in jobs[0].into.joinpath("drafts-candidate.jsonl").read_text().splitlines()]
    assert [draft["id"] for draft in drafts] == [row.id for row in rows[-4:]]


def test_weights_that_are_not_served_are_not_judged_by_what_is(
    tmp_path: Path, serving: Serving, rows: list[TrainingReport]
) -> None:
    """A LoRA for another base is passed over by the server, which writes all the same: the gate notices."""
    [verdict] = run(
        [make_job(tmp_path / "own", serving, rows, "numbered")], replace(serving, digest="0" * 64), tmp_path, Here()
    )
    assert not verdict.passed
    assert {rule for rule, found in by_rule(verdict).items() if not found.passed} >= {("served", ""), ("parity", "")}


def test_weights_that_break_their_reader_cost_the_others_nothing(
    tmp_path: Path, serving: Serving, rows: list[TrainingReport]
) -> None:
    """A damaged candidate has failed, with a page that says so, and the next one is judged."""
    broken = make_job(tmp_path / "broken", serving, rows, "numbered")
    weights = copytree(broken.candidate, tmp_path / "weights")
    (weights / "adapter_model.safetensors").write_bytes(b"no weights")
    jobs = [replace(broken, candidate=weights), make_job(tmp_path / "own", serving, rows, "numbered", radiologist="7")]
    first, second = run(jobs, serving, tmp_path, Here())
    assert not first.passed
    assert [finding.rule for finding in first.findings] == ["judged"]
    assert "Failed" in broken.into.joinpath("page.html").read_text()
    assert second.passed, second.reason


def test_without_a_server_there_is_no_verdict(tmp_path: Path, serving: Serving, rows: list[TrainingReport]) -> None:
    """One that dies twice is given up, and nothing is written that could be taken for a verdict."""
    job = make_job(tmp_path / "own", serving, rows, "numbered")
    here = Here(dying=2)
    with pytest.raises(ModelUnavailable):
        run([job], serving, tmp_path, here)
    assert here.started == 2
    assert list(job.into.iterdir()) == []
    assert not (tmp_path / "gate").exists()


def test_a_server_that_is_lost_takes_no_verdict_along(
    tmp_path: Path, serving: Serving, rows: list[TrainingReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was asked about before the server went for good is judged; who comes after has no verdict."""
    jobs = [make_job(tmp_path / name, serving, rows, "numbered", radiologist=name) for name in ("7", "8")]
    ask, asked = GateServer.ask, []

    def ask_once(self: GateServer, work: Any) -> Any:
        asked.append(work)
        if len(asked) > 1:
            raise ModelUnavailable("gone")
        return ask(self, work)

    monkeypatch.setattr(GateServer, "ask", ask_once)
    gate = run_gate(
        jobs,
        serving=serving,
        plan=PLAN,
        rules=RULES,
        work=tmp_path / "gate",
        seed=3,
        tell=lambda *_: None,
        serve=Here(),
    )
    assert next(gate).owner == "rad/7"
    with pytest.raises(ModelUnavailable):
        next(gate)
    assert list(jobs[1].into.iterdir()) == []


async def test_what_patients_are_told_by_is_known_from_the_journal(tmp_path: Path) -> None:
    """Parts of names and numbers of those that were learned from; no ordinary word, and nobody else."""
    async with room(tmp_path) as here:
        await here.sign("A100001", name="ZEBULKIN^ROSE", mrn="900001")
        await here.sign("A100002", name="OTHER^JOHN", mrn="900002")
        key = CaseKey(accession="A100001")
        ids = {name_report(key, SECRET)}
        found = here.flow.journal.read_now(lambda conn: find_identifiers(conn, ids, secret=SECRET))
    assert found == {"zebulkin", "900001", "A100001"}
