"""The gate's page: whether and why stand first, and no report's text stands in it unless it is asked for."""

from __future__ import annotations

from dataclasses import replace

from radbridge.evaluation.rows import Draft, Pair, Reference
from radbridge.evaluation.sums import tabulate
from radbridge_training.gate.arms import Arm
from radbridge_training.gate.figures import gate_measures
from radbridge_training.gate.judge import judge
from radbridge_training.gate.page import Told, render
from radbridge_training.gate.rules import load_rules

FINDINGS = "There is a small left pleural effusion with atelectasis. The heart is enlarged."
SIGNED = "Small left effusion & atelectasis. Cardiomegaly."


def tell(draft: str) -> Told:
    """What the page gets for a candidate that writes `draft`, beside a base that repeats the findings."""
    reference = Reference(id="1", findings=FINDINGS, impression=SIGNED)
    pairs = {
        arm: [Pair(number=1, reference=reference, draft=Draft(id="1", draft=text))]
        for arm, text in ((Arm.CANDIDATE, draft), (Arm.BASE, FINDINGS))
    }
    tables = {arm: tabulate(said, gate_measures()) for arm, said in pairs.items()}
    verdict = judge(tables, load_rules(), owner="rad/900001", seed=1)
    return Told(
        verdict=verdict, tables=tables, trained={"sft: steps": 28, "rules: too_short": 3}, canaries=2, exposed=1
    )


def test_a_failed_gate_says_why_first() -> None:
    """The rules that failed stand above everything else, with their figures."""
    page = render(tell("<b>Large right effusion.</b>"))
    first = page[page.index("<h1>") : page.index("<h2>")]
    assert "Failed" in first
    assert "nothing is published" in first
    assert "second_wrong against base" in first


def test_a_passed_gate_says_so_and_what_was_trained() -> None:
    """Every rule is listed with what was found, and what the weights were made from."""
    told = tell(SIGNED)
    page = render(told)
    assert "Passed" in page[page.index("<h1>") : page.index("<h2>")]
    assert all(finding.rule in page for finding in told.verdict.findings)
    assert "sft: steps" in page
    assert "1 of 2 canaries" in page
    assert "<svg" in page
    assert render(told) == page


def test_texts_are_shown_only_where_a_site_wants_them() -> None:
    """Without its consent no word of a report is on the page; with it they are, and can't break it."""
    told = tell("<b>Effusion.</b>")
    assert "atelectasis" not in render(told)
    pair = Pair(
        number=1,
        reference=Reference(id="1", findings=FINDINGS, impression=SIGNED),
        draft=Draft(id="1", draft="<b>Effusion.</b>"),
    )
    page = render(replace(told, pairs={Arm.CANDIDATE: [pair]}))
    assert "Small left effusion &amp; atelectasis" in page
    assert "&lt;b&gt;Effusion" in page
    assert "<b>" not in page
