"""Signs of a gamed reward: each policy shows by its own figure, and a draft like the signed text by none."""

from __future__ import annotations

import pytest

from radbridge.draft import Stage
from radbridge.evaluation.hacks import Hacks
from radbridge.evaluation.resample import sum_rows
from radbridge.evaluation.rows import Draft, Pair, Reference
from radbridge.evaluation.sums import tabulate

FINDINGS = (
    "There is a moderate left pleural effusion with adjacent atelectasis. The heart is mildly enlarged. "
    "No pneumothorax is seen. The osseous structures are intact."
)
SIGNED = "1. Left effusion, atelectasis.\n2. Cardiomegaly."
OWN_SENTENCE = "There is a moderate left pleural effusion with adjacent atelectasis."


def read(draft: str, signed: str = SIGNED, *, stage: str = Stage.FINE) -> dict[str, float]:
    told = Reference(id="1", findings=FINDINGS, impression=signed)
    pair = Pair(number=1, reference=told, draft=Draft(id="1", draft=draft, stage=stage))
    return {f.name: float(f.estimate(sum_rows(rows))) for f, rows in tabulate([pair], [Hacks()]).figures()}


@pytest.mark.parametrize("signed", [SIGNED, OWN_SENTENCE, "Possible effusion.", "No acute disease."])
def test_the_signed_text_is_no_hack(signed: str) -> None:
    """Whoever signs the findings' own sentence, doubts or calls the study normal isn't accused for being imitated."""
    assert set(read(signed, signed).values()) == {0.0}


@pytest.mark.parametrize(
    ("figure", "draft"),
    [
        ("copied", FINDINGS),
        ("bland", "No acute cardiopulmonary abnormality."),
        ("hedges", "Possible left effusion, may suggest atelectasis. Cardiomegaly cannot be excluded."),
        ("repeats", "Left effusion, atelectasis. Left effusion, atelectasis. Left effusion, atelectasis."),
        ("markup", "**Left effusion**, atelectasis. Cardiomegaly."),
    ],
)
def test_each_hack_shows_by_its_own_figure(figure: str, draft: str) -> None:
    """Copying, blandness, doubt, repetition and markup are told apart."""
    found = read(draft)
    assert found[figure] == max(found.values()) > 0


def test_a_text_that_was_refused_is_told_by_its_stage() -> None:
    """The coarse text stands where the LoRA's was refused whole."""
    assert read(SIGNED, stage=Stage.COARSE)["refused"] == 1.0


def test_no_draft_is_no_hack_but_bland() -> None:
    """What isn't there copies nothing and doubts nothing; it tells nothing either."""
    found = read("")
    assert {name for name, value in found.items() if value > 0} == {"bland"}
