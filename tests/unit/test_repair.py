"""A draft without what the guard has against it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.guard import Guard
from radbridge.guard.policy import GuardPolicy
from radbridge.guard.repair import Repair, drop_flagged

FINDINGS = "There is a small left pleural effusion. A 12 mm nodule in the right upper lobe. No pneumothorax."
POLICY = GuardPolicy()
STATEMENTS = (
    "Small left pleural effusion.",
    "Small right pleural effusion.",
    "12 mm right upper lobe nodule.",
    "12 cm right upper lobe nodule.",
    "No pneumothorax.",
    "Pneumothorax.",
    "MRN 900001.",
)


def repair(draft: str, findings: str = FINDINGS) -> Repair | None:
    guard = Guard(findings)
    return drop_flagged(draft, guard.check(draft), POLICY, guard.check)


@pytest.mark.parametrize(
    ("draft", "left"),
    [
        ("Small right pleural effusion. 12 mm right upper lobe nodule.", "12 mm right upper lobe nodule."),
        (
            "1. 12 mm right upper lobe nodule.\n2. Pneumothorax.\n3. Small left pleural effusion.",
            "1. 12 mm right upper lobe nodule.\n2. Small left pleural effusion.",
        ),
        ("1. Pneumothorax.\n2. Small left pleural effusion.", "Small left pleural effusion."),
    ],
)
def test_the_statement_objected_to_is_left_out(draft: str, left: str) -> None:
    """What the guard would keep the draft back for goes; the rest stays as it was, a list numbered anew."""
    repaired = repair(draft)
    assert repaired
    assert (repaired.text, len(repaired.notes)) == (left, 1)


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("Small left pleural effusion.", FINDINGS),
        ("Small right pleural effusion.", FINDINGS),
        ("Nodule. Left pneumothorax.", "Nodule. Right pneumothorax."),
    ],
)
def test_what_a_repair_cannot_mend_is_left_alone(draft: str, findings: str) -> None:
    """A true draft, one with nothing left, and one that would leave out something critical are not repaired."""
    assert repair(draft, findings) is None


@given(st.lists(st.sampled_from(STATEMENTS), max_size=6))
def test_a_repaired_draft_passes(statements: list[str]) -> None:
    """What a repair gives isn't blocked, is made of the draft's own statements, and is shorter."""
    draft = " ".join(statements)
    if repaired := repair(draft):
        assert not POLICY.judge(repaired.flags).blocking
        assert repaired.flags == Guard(FINDINGS).check(repaired.text)
        assert repaired.text in draft or len(repaired.text) < len(draft)
        assert repaired.notes
