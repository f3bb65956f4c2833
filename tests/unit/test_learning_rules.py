"""What a signed report may teach, rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from radbridge.learning import TrainingReport, Use, judge_reports
from radbridge.learning.rules import PREDICATES, load_rules
from radbridge.learning.vocabulary import is_held_out

FINDINGS = "There is a small left pleural effusion. The heart is normal in size. No pneumothorax is seen."
GOOD = TrainingReport(
    id="0" * 16,
    order=1,
    radiologist="1001",
    patient="p",
    findings=FINDINGS,
    signed="Small left pleural effusion without pneumothorax.",
    draft="Small left pleural effusion. No pneumothorax.",
    outcome="edited",
    distance=0.3,
)
SPANISH = (
    "Se observa pequeño derrame pleural izquierdo. Silueta cardíaca normal.",
    "Derrame pleural izquierdo pequeño, sin neumotórax.",
)


def judge(**changes: Any) -> tuple[Use, str]:
    """What the good report teaches once it is changed."""
    (judged,) = judge_reports([replace(GOOD, **changes)])
    return judged.use, judged.why


@pytest.mark.parametrize(
    ("changes", "use", "why"),
    [
        ({}, Use.PREFERENCE, ""),
        ({"consent": False}, Use.NONE, "no_consent"),
        ({"findings": " . "}, Use.NONE, "empty"),
        ({"signed": ""}, Use.NONE, "empty"),
        ({"signed": "Normal chest."}, Use.NONE, "too_short"),
        ({"signed": "PLEASE SEE ABOVE."}, Use.NONE, "boilerplate"),
        ({"findings": SPANISH[0], "signed": SPANISH[1]}, Use.NONE, "other_language"),
        ({"signed": "No acute abnormality."}, Use.NONE, "called_normal"),
        ({"signed": "Small left pleural effusion. Otherwise no acute abnormality."}, Use.PREFERENCE, ""),
        ({"corrected": True}, Use.SFT, "correction"),
        ({"outcome": "blocked"}, Use.SFT, "blocked"),
        ({"outcome": "ignored"}, Use.SFT, "not_seen"),
        ({"outcome": "", "draft": "", "distance": None}, Use.SFT, "not_seen"),
        ({"signed": "Small left pleural effusion. Left rib fracture."}, Use.SFT, "image_evidence"),
        ({"signed": "Small left pleural effusion of 3 cm."}, Use.SFT, "image_evidence"),
        ({"signed": "Small left pleural effusion. Rib fracture.", "prior": "Rib fracture."}, Use.PREFERENCE, ""),
        ({"distance": 0.5, "outcome": "rewritten"}, Use.SFT, "rewritten"),
        ({"distance": 0.0, "outcome": "accepted"}, Use.SFT, "accepted"),
    ],
)
def test_rules(changes: Mapping[str, Any], use: Use, why: str) -> None:
    """Each rule takes away what it is for, and is named as the reason; a good report gives a preference."""
    assert judge(**changes) == (use, why)


def test_the_table_and_the_questions() -> None:
    """Every rule of the table has its question, and the rules that take all come before those that leave something."""
    assert list(load_rules()) == list(PREDICATES)
    uses = [limits["use"] for limits in load_rules().values()]
    assert uses == sorted(uses, key=lambda use: use is not Use.NONE)
    assert Use.PREFERENCE not in uses


def test_the_newest_of_many_alike_stays() -> None:
    """Of a report that was signed three times over, the last one teaches."""
    reports = [replace(GOOD, id=f"{n:016x}", order=n) for n in (3, 1, 2)]
    assert [(r.order, r.why) for r in judge_reports(reports)] == [(3, ""), (1, "near_duplicate"), (2, "near_duplicate")]


def test_three_words_in_ten_are_held_out() -> None:
    """Three in ten words are kept for evaluation, always the same ones."""
    words = [f"{first}{second}" for first in ("pulmon", "hepat", "ren", "oste") for second in map(str, range(500))]
    assert 0.27 < sum(map(is_held_out, words)) / len(words) < 0.33
    assert [word for word in ("effusion", "fracture", "nodule", "mass", "hernia", "edema") if is_held_out(word)] == []
