"""The section reader for plain text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.case import ReportText
from radbridge.sections import HEADINGS, read_sections, section_of, strip_heading

SECTIONS = sorted(name for name in HEADINGS if name)


def test_common_report() -> None:
    """A report with the usual headings falls into its sections, the title is technique."""
    text = """CT CHEST WITH CONTRAST

CLINICAL HISTORY: Cough for three weeks.
TECHNIQUE: Helical CT.
COMPARISON: None.

FINDINGS:
Lungs: There is a 4 mm nodule.
Heart: Normal.

IMPRESSION:
1. Nodule.
2. Normal heart.

RECOMMENDATION: CT in 12 months."""
    assert read_sections(text) == ReportText(
        findings="Lungs: There is a 4 mm nodule.\nHeart: Normal.",
        impression="1. Nodule.\n2. Normal heart.",
        comparison="None.",
        technique="CT CHEST WITH CONTRAST\nHelical CT.",
        indication="Cough for three weeks.",
        recommendation="CT in 12 months.",
    )


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("FINDINGS:", "findings"),
        ("Findings -", "findings"),
        ("Findings \u2013", "findings"),
        ("FINDINGS", "findings"),
        ("**Findings:**", "findings"),
        ("## Findings", "findings"),
        ("Finding(s):", "findings"),
        ("CT findings:", "findings"),
        ("IMPRESSION:", "impression"),
        ("impression:", "impression"),
        ("IMPRESSION/PLAN:", "impression"),
        ("Impression & Recommendations:", "impression"),
        ("Conclusion:", "impression"),
        ("OPINION", "impression"),
        ("CLINICAL  HISTORY:", "indication"),
        ("Reason for Exam:", "indication"),
        ("Indication(s) :", "indication"),
        ("COMPARISON STUDIES:", "comparison"),
        ("Technique:", "technique"),
        ("FOLLOW-UP:", "recommendation"),
    ],
)
def test_spellings(heading: str, section: str) -> None:
    """A heading counts in capitals or not, with a colon, a dash, marks of emphasis or alone on its line."""
    report = read_sections(f"FINDINGS: Clear.\n{heading}\nSome text.")
    expected = "Clear.\nSome text." if section == "findings" else "Some text."
    assert getattr(report, section) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The impression of the prior study stands.",
        "There is an impression: a dent on the thecal sac.",
        "Impression of the thecal sac by the disc.",
        "Findings are stable.",
        "No change since the previous\nstudy and no effusion.",
        "Contrast fills the bowel.",
        "Comparison with the prior shows no change.",
        "Lungs clear. Heart normal.",
    ],
)
def test_words_in_sentences_are_no_headings(text: str) -> None:
    """A heading's word inside a sentence stays text, and text without headings is findings."""
    assert read_sections(text) == ReportText(findings=text)


def test_one_line_report() -> None:
    """Headings are found after the end of a sentence where a report was flattened into one line."""
    text = "HISTORY: Cough. FINDINGS: Clear. The impression: none yet. IMPRESSION: No acute disease."
    assert read_sections(text) == ReportText(
        indication="Cough.", findings="Clear. The impression: none yet.", impression="No acute disease."
    )


def test_capitals_without_a_colon() -> None:
    """A heading in capitals may stand before its text with nothing between; a line in capitals is no heading."""
    assert read_sections("FINDINGS The lungs are clear.\nIMPRESSION No acute disease.") == ReportText(
        findings="The lungs are clear.", impression="No acute disease."
    )
    assert read_sections("IMPRESSION of the sac.").findings == "IMPRESSION of the sac."
    assert read_sections("CONTRAST FILLS THE BOWEL.").findings == "CONTRAST FILLS THE BOWEL."


def test_findings_without_a_heading() -> None:
    """Where no heading says findings, the paragraph under the last section before the impression is findings."""
    text = "EXAM: CT head.\nHISTORY: Headache.\n\nNo bleed.\n\nNo mass.\n\nIMPRESSION: Normal."
    assert read_sections(text) == ReportText(
        technique="CT head.", indication="Headache.", findings="No bleed.\n\nNo mass.", impression="Normal."
    )
    titled = "CHEST X-RAY\nHISTORY: Cough.\n\nLungs clear.\nIMPRESSION: Normal."
    assert read_sections(titled) == ReportText(
        technique="CHEST X-RAY", indication="Cough.", findings="Lungs clear.", impression="Normal."
    )
    assert read_sections("Lungs clear.\nIMPRESSION: Normal.") == ReportText(
        findings="Lungs clear.", impression="Normal."
    )


@pytest.mark.parametrize(
    "line", ["Electronically signed by Richard Roe", "Dictated by: R. Roe", "SIGNED BY Roe", "MRN: 900001"]
)
def test_signature_lines_are_dropped(line: str) -> None:
    """Who signed, and header lines about the patient, are no part of any section."""
    report = read_sections(f"FINDINGS: Clear.\nIMPRESSION: Normal.\n{line}")
    assert report == ReportText(findings="Clear.", impression="Normal.")


def test_signature_in_the_same_line_is_dropped() -> None:
    """A signature that follows the last sentence doesn't become part of the impression."""
    assert read_sections("IMPRESSION: Normal. Electronically signed by Richard Roe").impression == "Normal."


def test_own_heading_is_stripped() -> None:
    """Text that is coded as an impression and begins with "IMPRESSION:" loses that word only."""
    assert strip_heading("IMPRESSION:\nNormal.", "impression") == "Normal."
    assert strip_heading("Impression of the sac.", "impression") == "Impression of the sac."


def test_section_of_display_texts() -> None:
    """The display text of a code names a section as a heading does."""
    assert section_of("Impression(s)") == "impression"
    assert section_of("CT Findings") == "findings"
    assert section_of("Body height") is None


@given(st.permutations(SECTIONS), st.sampled_from([": ", ":\n", "\n", " -\n"]))
def test_any_order(order: list[str], mark: str) -> None:
    """Sections are found in whatever order they come."""
    text = "\n".join(f"{HEADINGS[name][0].upper()}{mark}Text of {name}." for name in order)
    assert read_sections(text) == ReportText(**{name: f"Text of {name}." for name in SECTIONS})


@given(st.text(max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    """Arbitrary text gives some report, and reading the findings again changes nothing of what is not a heading."""
    read_sections(text)


@given(
    st.lists(
        st.sampled_from(["FINDINGS:", "Impression -", "\n", " ", "Normal.", "\n\n", "word", "HISTORY"]), max_size=30
    )
)
def test_no_word_is_invented(pieces: list[str]) -> None:
    """Sections hold only words of the text."""
    text = "".join(pieces)
    report = read_sections(text)
    for name in SECTIONS:
        for word in getattr(report, name).split():
            assert word in text
