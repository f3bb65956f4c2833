"""What the gate is asked for each radiologist of a turn, and what becomes of an answer that is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from radbridge.config import load_site
from radbridge.learning import EXAMPLE, REPORT, SHOWN, Use, examples, make_examples
from radbridge.memory import StyleMemory
from radbridge.registry import LoraRegistry
from radbridge.registry.personas import write_choices
from radbridge_training.gate import run
from radbridge_training.gate.job import GateJob
from radbridge_training.gate.judge import JUDGED, Finding, Verdict
from radbridge_training.optimize.figures import tell_nobody
from radbridge_training.rows import load_rows
from radbridge_training.serving import Serving, serve_base
from radbridge_training.staging import put, stage
from radbridge_training.turn.done import Done, write_done
from radbridge_training.turn.examples import DEV, EXAMPLES, LATER, LEARN, REPORTS, MakeExamples
from radbridge_training.turn.gating import GATE, find_without, gate_jobs
from radbridge_training.turn.job import Job, Outcome, State
from radbridge_training.turn.steps import run_step
from radbridge_training.turn.training import REINFORCE
from radbridge_training.turn.workshop import Workshop, open_workshop
from radbridge_training.turn_recipe import Learn, TurnRecipe
from tests.support.killed_steps import make_job
from tests.support.registry import trained
from tests.support.signed_reports import sign_reports, write_site

RECIPE = TurnRecipe.model_validate({"gate": {"least_later": 4}})


@pytest.fixture(scope="module")
def serving() -> Serving:
    return serve_base({})


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """A site where one radiologist has signed 24 reports."""
    sign_reports(f"sqlite:///{tmp_path}/radbridge.db", people=1, reports=24)
    with open_workshop(load_site(write_site(tmp_path, least_reports=16))) as made:
        yield made


def job_of(shop: Workshop, work: Path, recipe: TurnRecipe = RECIPE) -> Job:
    """The radiologist's part of a turn, with its rows."""
    job = replace(make_job(work / "turn"), recipe=recipe)
    run_step(job, step_of(shop), tell_nobody)
    return job


def step_of(shop: Workshop, **memory: int) -> MakeExamples:
    site = shop.site.model_copy(update={"memory": shop.site.memory.model_copy(update=memory)})
    return MakeExamples(site, shop.stores, shop.serving.ways, shop.secret)


def gate_of(shop: Workshop, job: Job) -> list[tuple[Job, Verdict | Outcome]]:
    with shop.stores.connect() as conn:
        return list(
            gate_jobs(
                [job], conn, shop.registry, serving=shop.serving, secret=shop.secret, page_texts=False, tell=tell_nobody
            )
        )


def test_what_could_not_be_judged_is_no_verdict(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the gate broke down the candidate has failed, not been refused, and the next look judges it."""
    job = job_of(shop, tmp_path)
    staged = stage(job.folder / REINFORCE)
    staged.rmdir()
    trained(staged)
    write_done(staged, Done(step=REINFORCE, inputs="", seconds=1))
    put(staged, job.folder / REINFORCE)
    rules = [JUDGED, "bland"]

    def judge(jobs: Sequence[GateJob], **how: Any) -> Iterator[Verdict]:
        for asked in jobs:
            (asked.into / "drafts-base.jsonl").write_text("")
            finding = Finding(rule=rules.pop(0), passed=False, told="disk full")
            yield Verdict(owner=asked.owner, passed=False, findings=(finding,), reports=0, seed=0)

    monkeypatch.setattr(run, "run_gate", judge)
    ((_, broken),) = gate_of(shop, job)
    assert broken == Outcome(owner="rad/1001", state=State.FAILED, reason="judged: disk full", step=GATE)
    assert not list(job.folder.glob(f"*{GATE}*"))
    ((_, judged),) = gate_of(shop, job)
    assert isinstance(judged, Verdict)
    assert (job.folder / GATE / "done.json").exists()


def test_who_would_draft_otherwise(serving: Serving, tmp_path: Path) -> None:
    """The persona that was set or chosen, else the site's LoRA, packaged ones too; never one for another base."""
    registry = LoraRegistry(tmp_path / "loras")

    def find(**settings: object) -> str:
        found = find_without("1001", registry, serve_base(settings))
        return found.owner if found else ""

    assert find() == "persona/succinct"
    assert find(site_lora="") == ""
    write_choices(registry.root, {"1001": "persona/numbered"})
    assert find(site_lora="") == "persona/numbered"
    assert find(personas={"1001": "persona/elaborate"}) == "persona/elaborate"
    for owner, base in (("persona/numbered", "c" * 64), ("site/main", serving.digest)):
        weights = trained(tmp_path / owner, owner.encode())
        registry.promote(registry.publish(weights, owner, base_digest=base, prompt_version="p2"))
    assert find(site_lora="site/main") == "site/main"


def test_rows_of_the_newest(shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are made of the newest reports, as many as may be learned; the older ones stood in the memory all the same.

    What was shown with a report is looked up once, and only where somebody wants it.
    """
    asked = 0

    class Counting(StyleMemory):
        def newest(self, *what: Any, **how: Any) -> list[int]:
            nonlocal asked
            asked += 1
            return super().newest(*what, **how)

    with monkeypatch.context() as patch:
        patch.setattr(examples, "StyleMemory", Counting)
        few = RECIPE.model_copy(update={"learn": Learn(most_rows=8, unseen_share=0.0)})
        home = job_of(shop, tmp_path, few).folder / EXAMPLES
    reports, rows = load_rows(home / REPORTS, REPORT), load_rows(home / LEARN, EXAMPLE)
    dev, later = (load_rows(home / name, SHOWN) for name in (DEV, LATER))
    kept = {shown.report.id for shown in (*dev, *later)}
    useful = [r.id for r in reports if r.use is not Use.NONE and r.order < dev[0].report.order]
    assert len(useful) > 8
    assert asked == 8 + len(kept)
    memory = shop.site.memory
    told = make_examples(reports, shop.serving.ways, alike=memory.alike, newest=memory.newest, unseen_share=0.0)
    assert [row for row in rows if not row.id.startswith("canary/")] == [
        example for example in told if example.id.partition("/")[0] in useful[-8:]
    ]


def test_what_the_memory_shows_decides_the_rows(shop: Workshop, tmp_path: Path) -> None:
    """A turn that goes on makes its rows anew where the style memory would show other reports."""
    job = replace(make_job(tmp_path), recipe=RECIPE)
    told = {step_of(shop, **memory).inputs(job) for memory in ({}, {"alike": 1}, {"newest": 1}, {})}
    assert len(told) == 3
