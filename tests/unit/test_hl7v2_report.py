"""OBX segments to sections."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from radbridge.case import ReportText
from radbridge_adapters.hl7v2.er7 import STANDARD, Segment
from radbridge_adapters.hl7v2.report import ADDENDUM, BODY, CODES, is_narrative, read_report


def obx(code: str, text: str, kind: str = "TX") -> Segment:
    return Segment(f"OBX|1|{kind}|{code}||{text}||||||R", STANDARD)


@pytest.mark.parametrize("code", sorted(code for code, part in CODES.items() if part not in (BODY, ADDENDUM)))
def test_codes(code: str) -> None:
    """Every code of the table is found alone, as a suffix, and as the alternate code."""
    section = CODES[code]
    for written in (f"{code}^Name^LN", f"71260&{code}^CT^C4", f"X1^local^L^{code}^Name^LN"):
        assert getattr(read_report([obx(written, "Some text.")]), section) == "Some text."


@pytest.mark.parametrize("code", ["18748-4^Report^LN", "71260&GDT^CT", "71260^CT CHEST^C4", "", "X^Y^L"])
def test_whole_reports(code: str) -> None:
    """What names no section is a whole report, cut at its headings."""
    report = read_report([obx(code, "FINDINGS: Clear."), obx(code, "IMPRESSION: Normal.")])
    assert report == ReportText(findings="Clear.", impression="Normal.")


def test_display_names() -> None:
    """A local code whose text is a heading names that section."""
    assert read_report([obx("L1^CLINICAL HISTORY^L", "Cough.")]).indication == "Cough."


def test_blank_lines_are_kept() -> None:
    """An empty OBX is an empty line, so paragraphs stay apart."""
    report = read_report([obx("59776-5^F^LN", line) for line in ("One.", "", "Two.")])
    assert report.findings == "One.\n\nTwo."


def test_repetitions_are_lines() -> None:
    """OBX-5 that repeats is as many lines, and `.br` is one too."""
    assert read_report([obx("59776-5^F^LN", "One.~Two.\\.br\\Three.", "FT")]).findings == "One.\nTwo.\nThree."


def test_unescaped_separators_are_text() -> None:
    """A `^` or `&` that a sender forgot to escape in a TX stays in the text."""
    assert read_report([obx("59776-5^F^LN", "R&L ^ fine")]).findings == "R&L ^ fine"


def test_a_section_sent_twice_counts_once() -> None:
    """A whole report beside its impression in an OBX of its own has one impression."""
    report = read_report([obx("18748-4^R^LN", "FINDINGS: Clear. IMPRESSION: Normal."), obx("71260&IMP^CT", "Normal.")])
    assert report == ReportText(findings="Clear.", impression="Normal.")


def test_coded_findings_with_an_impression_inside() -> None:
    """An impression under a heading inside the coded findings is not findings."""
    report = read_report([obx("59776-5^F^LN", "Clear.\\.br\\IMPRESSION: Normal.", "FT")])
    assert report == ReportText(findings="Clear.", impression="Normal.")


def test_addendum() -> None:
    """An addendum is told apart at the end of the findings."""
    report = read_report([obx("59776-5^F^LN", "Clear."), obx("71260&ADT^CT", "Rib fracture.")])
    assert report.findings == "Clear.\nAddendum: Rib fracture."


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (obx("8302-2^Body height^LN", "170", "NM"), False),
        (obx("8302-2^Body height^LN", "170", "ST"), False),
        (obx("113014^Study UID^DCM", "1.2.3", "ST"), False),
        (obx("59776-5^Findings^LN", "Clear.", "ST"), True),
        (obx("59776-5^Findings^LN", "Clear.", "ZZ"), False),
        (Segment("OBX|1||59776-5^Findings^LN||||||||U", STANDARD), True),
    ],
)
def test_what_is_narrative(segment: Segment, *, expected: bool) -> None:
    """Measurements and unknown types are no report text."""
    assert is_narrative(segment) is expected


def test_embedded_documents_are_noted() -> None:
    """An embedded PDF is passed over, and the log says so without its content."""
    with capture_logs() as logs:
        assert not is_narrative(obx("18748-4^Report^LN", "^application^pdf^Base64^JVBERi0=", "ED"))
    assert logs == [{"event": "document_ignored", "value_type": "ED", "log_level": "info"}]
