"""Whether a rewrite says what the original says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.guard import find_fault

ORIGINAL = "6 mm nodule in the right upper lobe. Small left pleural effusion. No pneumothorax or fracture."


@pytest.mark.parametrize(
    "rewrite",
    [
        ORIGINAL,
        "1. 6 mm nodule, right upper lobe.\n2. Small left pleural effusion.\n3. No pneumothorax or fracture.",
        "A 6 mm right upper lobe nodule. Small left effusion, pleural. No evidence of pneumothorax. No fracture.",
    ],
)
def test_another_way_to_say_it(rewrite: str) -> None:
    """Numbering, order within a sentence and framing are free."""
    assert find_fault(rewrite, ORIGINAL) == ""


@pytest.mark.parametrize(
    ("changed", "into", "fault"),
    [
        ("Small left", "Small right", "laterality was changed"),
        ("6 mm", "60 mm", "unsupported content"),
        ("nodule", "nodule and cyst", "unsupported content"),
        ("6 mm ", "", "a number was lost or changed"),
        ("left ", "", "laterality was changed"),
        ("No pneumothorax or", "Pneumothorax,", "a negation was lost or added"),
        ("fracture", "", "content was lost"),
        ("pleural effusion", "effusion", "content was lost"),
        ("No pneumo", "No fracture. No fracture. No pneumo", "it repeats itself"),
        ("effusion.", "effusion is seen pleural effusion.", "it repeats itself"),
        ("No pneumo", "Recommend CT. No pneumo", "advice or a talk was added"),
        ("No pneumo", "Follow-up suggested. No pneumo", "advice or a talk was added"),
        ("No pneumo", "Findings discussed with patient. No pneumo", "advice or a talk was added"),
    ],
)
def test_another_thing_said(changed: str, into: str, fault: str) -> None:
    """What is added, lost, moved to the other side or turned round is named."""
    assert find_fault(ORIGINAL.replace(changed, into), ORIGINAL, "Findings. right") == fault


def test_findings_that_trade_places() -> None:
    """Two findings can't trade their sides or sizes, though every word is there."""
    original = "6 mm nodule in the right lung. 9 mm cyst in the left kidney."
    assert find_fault("6 mm nodule in the left lung. 9 mm cyst in the right kidney.", original)
    assert find_fault("9 mm nodule in the right lung. 6 mm cyst in the left kidney.", original)


@pytest.mark.parametrize(
    ("original", "rewrite", "fault"),
    [
        ("CBD measures 4 mm.", "There is CBD measures 4 mm.", "a sentence has two verbs"),
        ("Gallbladder wall is thick.", "There is a gallbladder wall is thick.", "a sentence has two verbs"),
        ("Dilated CBD.", "There is a dilated cBD.", "a word was misspelt"),
        ("Lesion off of the tail of the pancreas.", "Lesion off of the tail. the pancreas.", "a sentence was torn"),
        ("Dilated CBD, which measures 1.2 cm.", "There is a dilated CBD, which measures 1.2 cm.", ""),
        ("Mass of 1.2 cm. Lung is clear.", "There is a mass of 1.2 cm. Lung is clear.", ""),
    ],
)
def test_sentences_stay_sentences(original: str, rewrite: str, fault: str) -> None:
    """A lead-in before a sentence that has a verb, half an abbreviation or half a sentence is no good style."""
    assert find_fault(rewrite, original) == fault


@pytest.mark.parametrize(
    ("original", "rewrite", "fault"),
    [
        ("Acute hip fracture.", "Acute hip fracture. Normal study.", "it calls normal what isn't"),
        ("Acute hip fracture.", "Acute hip fracture, otherwise unremarkable.", "it calls normal what isn't"),
        ("Heart size normal.", "Heart size is unremarkable.", ""),
        ("No effusion.", "Negative for effusion.", ""),
        (
            "Large bulla, cannot exclude pneumonia.",
            "No large bulla, cannot exclude pneumonia.",
            "a negation was lost or added",
        ),
        ("Large bulla, cannot exclude pneumonia.", "Large bulla, no pneumonia.", "a negation was lost or added"),
        ("Bulla, cannot exclude pneumonia.", "Bulla. Pneumonia could not be excluded.", ""),
        ("Bulla, no pneumonia to exclude.", "Bulla, cannot exclude pneumonia.", "a negation was lost or added"),
    ],
)
def test_no_is_what_was_denied(original: str, rewrite: str, fault: str) -> None:
    """Nothing is called normal beside a finding that wasn't, and a doubt is no denial: neither hides the other."""
    assert find_fault(rewrite, original) == fault


@given(st.text(max_size=300))
def test_a_text_rewrites_itself(text: str) -> None:
    """No text is at fault beside itself."""
    assert find_fault(text, text) == ""
