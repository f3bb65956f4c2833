"""The prompts that training learns are those that the model server puts, byte for byte (rule 7)."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from pathlib import Path

import pytest

from radbridge.contract import DraftRequest
from radbridge.learning import Shown, TrainingReport, Ways, make_examples, show_earlier
from radbridge.prompt import Template
from radbridge.registry import LoraVersion
from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.service import Service
from radbridge_model_server.settings import Settings
from radbridge_model_server.testing import EchoEngine
from tests.support.training_reports import make_reports

OWN = "rad/1001"
CONTEXT = 1 << 20
"""Tokens: nothing has to be left out to fit."""


def record_prompts(shown: list[Shown], ways: Ways) -> dict[str, set[str]]:
    """What a real service puts to its engine for each report, by the report's id."""
    asked: set[str] = set()

    def say(prompt: str) -> str:
        asked.add(prompt)
        return "" if ways.coarse_by == "site_lora" and "Preliminary:" not in prompt else "Nothing."

    own = LoraVersion(
        owner=OWN, seq=1, digest12="a" * 12, path=Path("nowhere"), base_digest="0" * 64,
        prompt_version=ways.version, rank=8, targets=("q_proj",),
    )  # fmt: skip
    service = Service(
        settings=Settings(
            engine="echo", strategy=ways.strategy, coarse_by=ways.coarse_by, prompt_template=ways.template,
            leave_out=ways.leave_out, site_lora="",
        ),
        engine=EchoEngine(say=say, context_tokens=CONTEXT, template=ways.template, prompt_version=ways.version),
        chain=LoraChain(registry=None, packaged={OWN: own}, personas={}, site_lora=""),
    )  # fmt: skip

    async def draft_all() -> dict[str, set[str]]:
        prompts = {}
        for each in shown:
            asked.clear()
            with service.desk.take(as_request(each), time.monotonic()) as ticket:
                assert (await ticket.draft()).asked == own.name
            prompts[each.report.id] = set(asked)
        await service.close()
        return prompts

    return asyncio.run(draft_all())


def as_request(shown: Shown) -> DraftRequest:
    """The request that the gateway would have made of the report's case."""
    report: TrainingReport = shown.report
    return DraftRequest(
        id=report.id,
        findings=report.findings,
        indication=report.indication,
        comparison=report.comparison,
        prior=report.prior,
        modality=report.modality,
        sex=report.sex,
        age=report.age,
        radiologist=report.radiologist,
        examples=shown.examples,
    )


@pytest.mark.parametrize(
    "ways",
    [
        Ways(),
        Ways(leave_out=("age", "sex")),
        Ways(strategy="single", template=Template.ALPACA, version="p2-alpaca"),
        Ways(strategy="single", leave_out=("indication",)),
        Ways(coarse_by="site_lora"),
    ],
    ids=["statements", "statements, less told", "single", "single, less told", "site LoRA"],
)
def test_what_is_learned_is_what_is_put(ways: Ways) -> None:
    """Every prompt of an example is one that the server puts for that case beside the same earlier reports."""
    reports = list(make_reports(5, 12))
    learned: defaultdict[str, set[str]] = defaultdict(set)
    for example in make_examples(reports, ways, alike=3, newest=2, unseen_share=0.0):
        learned[example.id.partition("/")[0]].add(example.prompt)
    put = record_prompts(list(show_earlier(reports, alike=3, newest=2)), ways)
    assert learned
    for id, prompts in learned.items():
        assert prompts <= put[id]
