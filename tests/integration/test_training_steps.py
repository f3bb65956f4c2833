"""The steps of the loop by hand: files in, files out, over the packaged base and a model server of the gate's own."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from radbridge.config import Model
from radbridge.learning import EXAMPLE, SHOWN, Ways, make_examples, show_earlier
from radbridge.registry import WEIGHTS
from radbridge_training.gate.judge import JUDGED, read_verdict
from radbridge_training.rows import write_rows
from tests.support.train import run_train
from tests.support.training_reports import make_reports

RECIPE = """
sft: {steps: 1, batch_size: 4}
learn: {most_rows: 8}
gate: {reports: 2, parity_prompts: 1}
"""


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_from_rows_to_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that one command trains on files are judged by the next, through a real model server, to a page."""
    monkeypatch.setattr("radbridge_adapters.model.client._CONNECT_S", 600.0)  # of a machine that stands still
    monkeypatch.setattr("radbridge_training.gate.arms.Model", partial(Model, start_timeout_s=600))
    recipe = tmp_path / "turn.yaml"
    recipe.write_text(RECIPE)
    short = sorted(make_reports(5, 60), key=lambda report: len(report.findings))[:14]
    reports = sorted(short, key=lambda report: report.order)
    rows, later = tmp_path / "learn.jsonl", tmp_path / "later.jsonl"
    write_rows(rows, EXAMPLE, make_examples(reports[:12], Ways(), alike=1, newest=0))
    write_rows(later, SHOWN, list(show_earlier(reports, alike=1, newest=0))[-2:])
    sft, gate = tmp_path / "sft", tmp_path / "gate"
    common = ("--recipe", str(recipe))
    status, said = run_train("sft", *common, "--examples", str(rows), "--out", str(sft))
    assert (status, "steps 1" in said) == (0, True), said
    assert (sft / WEIGHTS).is_file()
    status, said = run_train("gate", *common, "--candidate", str(sft), "--later", str(later), "--out", str(gate))
    verdict = read_verdict(gate)
    assert status == (0 if verdict.passed else 1), said
    assert str(gate / "page.html") in said
    assert (verdict.owner, verdict.reports) == ("rad/1001", 2)
    found = {finding.rule: finding for finding in verdict.findings}
    assert JUDGED not in found
    assert found["served"].passed
    assert found["parity"].passed, found["parity"]
    assert (gate / "drafts-without.jsonl").is_file(), "what the site would serve otherwise stands beside it"
    assert json.loads((gate / "done.json").read_text())["told"]["passed"] is verdict.passed
