"""What makes a case urgent, and that urgency starves nobody."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.entities import read_entities
from radbridge.flow.turns import URGENT_IN_A_ROW, Turns
from radbridge.guard.critical import is_critical, mentions_critical
from radbridge_training.synth import generate_reports


@pytest.mark.parametrize(
    "findings",
    [
        "Clear lungs. Large right pneumothorax.",
        "Acute pulmonary emboli in both lower lobes.",
        "FINDINGS: Free intraperitoneal air.",
        "Possible aortic dissection.",
        "No effusion. There is no flow in the left testis.",
        "Acute SDH.",
    ],
)
def test_a_critical_finding_is_heard(findings: str) -> None:
    """A critical finding that is affirmed, even as possible, is heard wherever it stands."""
    assert mentions_critical(findings)


@pytest.mark.parametrize(
    "findings", ["", "No pneumothorax or hemorrhage.", "6 mm nodule.", "[ ] *** 12", "x" * 200_000]
)
def test_nothing_critical(findings: str) -> None:
    """A denied finding, an ordinary one and no text at all are not urgent."""
    assert not mentions_critical(findings)


def test_reading_less_hears_as_much() -> None:
    """Only the statements that name something critical are read, and what is heard is what the whole text tells."""
    heard = []
    for report in generate_reports(seed=3, count=150):
        whole = any(e.present and is_critical(e) for e in read_entities(report.findings).entities)
        heard.append(mentions_critical(report.findings))
        assert heard[-1] == whole, report.findings
    assert any(heard)
    assert not all(heard)


@given(st.lists(st.booleans(), max_size=60), st.lists(st.booleans(), max_size=60))
def test_urgent_first_and_nobody_for_ever(waiting: list[bool], coming: list[bool]) -> None:
    """Urgent ones go first, each line keeps its order, and of five in a row at least one is of those that waited."""
    turns, taken = Turns(), list[str]()
    urgent = deque(f"u{n}" for n, is_urgent in enumerate(waiting) if is_urgent)
    other = deque(f"o{n}" for n, is_urgent in enumerate(waiting) if not is_urgent)
    arriving = deque((f"{'u' if is_urgent else 'o'}{n}", is_urgent) for n, is_urgent in enumerate(coming, 60))
    overtaken = 0
    while urgent or other or arriving:
        if arriving:
            name, is_urgent = arriving.popleft()
            (urgent if is_urgent else other).append(name)
        had_urgent, had_other = bool(urgent), bool(other)
        name = turns.take(urgent, other) or ""
        overtaken = overtaken + 1 if name.startswith("u") and had_other else 0
        assert overtaken <= URGENT_IN_A_ROW
        if name.startswith("o") and had_urgent:
            assert [t[0] for t in taken[-URGENT_IN_A_ROW:]] == ["u"] * URGENT_IN_A_ROW
        taken.append(name)
    for line in "uo":
        numbers = [int(name[1:]) for name in taken if name.startswith(line)]
        assert numbers == sorted(numbers)
    assert len(taken) == len(waiting) + len(coming)
    assert turns.take(urgent, other) is None
