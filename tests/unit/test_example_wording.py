"""What of a report may stand in an example: its style, and nobody's name, date or call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.case import Patient
from radbridge.deidentify import scrub
from radbridge.memory.wording import keep_style
from radbridge.text import split_sentences

SAID = ("Small effusion.", "No pneumothorax.", "Cyst in the left kidney.", "Recommend follow-up.")
TOLD = (
    "Findings were discussed with Dr. House by telephone.",
    "Results called to the ward.",
    "Dr. Roe was notified.",
    "Communicated to the team at 10:15.",
    "Jane Doe knows.",
    "Stable since 3/1/2024.",
)


def clean(text: str) -> str:
    """The text as it is kept."""
    return keep_style(text, scrub(text, patient=Patient(name="DOE^JANE"), key=b"s"))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("1. Cyst.\n2. Jane Doe was called to come.\n3. No mass.", "1. Cyst.\n2. No mass."),
        ("- Cyst.\n- Dr. Roe was paged by us.", "- Cyst."),
        ("No acute disease.\n\nStable since 3/1/2024.\nCyst.", "No acute disease.\n\nCyst."),
        ("Cyst. Discussed with Dr. Roe. No mass.", "Cyst. No mass."),
        ("Discussed with Dr. Roe.", ""),
    ],
)
def test_lines_close_up(text: str, kept: str) -> None:
    """A line that is left without a word goes, and what is numbered is numbered without a gap."""
    assert clean(text) == kept


@given(st.lists(st.sampled_from(SAID), max_size=5))
def test_what_names_nobody_stays_as_it_is(said: list[str]) -> None:
    """A text with nothing to hide is kept to the letter."""
    text = "\n".join(f"{n}. {sentence}" for n, sentence in enumerate(said, 1))
    assert clean(text) == text


@given(st.lists(st.sampled_from((*SAID, *TOLD)), max_size=6), st.sampled_from(("\n", " ")))
def test_no_name_no_date_no_call(said: list[str], between: str) -> None:
    """Sentences that name somebody, hold a date or tell of a call go, and the others stay in their order."""
    kept = clean(between.join(said))
    assert split_sentences(kept) == [sentence for sentence in said if sentence in SAID]
