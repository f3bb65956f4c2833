"""Identifiers in a draft are found, and nothing else is taken for one."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.case import Patient
from radbridge.draft import Flag, Section, Severity
from radbridge.guard.identifiers import MAX_READ_CHARS, check_identifiers

JANE = Patient(id="900001", name="DOE^JANE^Q", birth_date=date(1960, 1, 2), other_ids=("VISIT-77", "2024"))


def held(text: str, flags: tuple[Flag, ...]) -> list[str]:
    assert {f.kind for f in flags} <= {"identifier"}
    assert {f.severity for f in flags} <= {Severity.CRITICAL}
    spans = [span for f in flags for span in f.spans]
    assert {span.section for span in spans} <= {Section.DRAFT}
    return [text[span.start : span.end] for span in spans]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MRN 900001. Clear lungs.", ["900001"]),
        ("Medical record number: 90-00-01.", ["90-00-01"]),
        ("Accession no. A10001.", ["A10001"]),
        ("SSN 123-45-6789", ["123-45-6789"]),
        ("SSN: 123 45 6789, stable.", ["123 45 6789"]),
        ("Hospital number 90 00 01. Clear lungs.", ["90 00 01"]),
        ("MRN 900 001 12 mm nodule.", ["900 001"]),
        ("MRN 900001 2.5 cm nodule.", ["900001"]),
        ("DOB: 01/02/1960. Stable.", ["01/02/1960"]),
        ("The patient was born on 2 January 1960.", ["2 January 1960"]),
        ("Mr. Doe has a 6 mm nodule.", ["Doe"]),
        ("Nodule in Ms Jane Doe, stable.", ["Jane Doe"]),
        ("Patient name: DOE, JANE", ["DOE, JANE"]),
        ("The patient's name is Jane Doe.", ["Jane Doe"]),
        ("DOE^JANE: clear lungs.", ["DOE^JANE"]),
        ("Mr. Müller has a nodule.", ["Müller"]),
        ("Mr. Doe. MRN 900001. Mrs. Roe.", ["Doe", "Roe", "900001"]),
    ],
)
def test_patterns(text: str, found: list[str]) -> None:
    """What identifies anybody is flagged as critical, at its very place, whoever the patient is."""
    assert held(text, check_identifiers(text)) == found


@pytest.mark.parametrize(
    "text",
    [
        "Baker cyst. Hill-Sachs lesion. Bosniak 2F cyst. Schmorl nodes. Foley catheter. Dobhoff tube in place.",
        "Discussed with Dr. Smith at 3 pm.",
        "MS. Plaques are stable.",
        "COMPARED WITH THE PRIOR MR. STABLE MASS.",
        "MR 2021 and CT 2022 compared. MRS shows a choline peak.",
        "Newborn, 3/4/2024. Born at 32 weeks; study of 3/4/2024.",
        "Stable since 01/02/2020 and visit 2023. 12-34 mm.",
        "The colon is normal. Name of the lesion: lipoma.",
        "",
    ],
)
def test_no_false_alarm(text: str) -> None:
    """Eponyms, referrers, modalities and dates of studies identify no patient."""
    assert check_identifiers(text) == ()
    assert check_identifiers(text, patient=JANE, numbers=("A100001",)) == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Nodule in Jane, stable.", ["Jane"]),
        ("DOE JANE Q: clear.", ["DOE JANE Q"]),
        ("Record 900001 and A-100001.", ["900001", "A-100001"]),
        ("Visit77 compared.", ["Visit77"]),
        ("Compared with January 2, 1960.", ["January 2, 1960"]),
        ("Ms. Doe, 900001", ["Doe", "900001"]),
    ],
)
def test_what_the_case_knows(text: str, found: list[str]) -> None:
    """The patient's own name, numbers and date of birth are flagged wherever they stand, each place once."""
    flags = check_identifiers(text, patient=JANE, numbers=("A100001", "A1", ""))
    assert held(text, flags) == found


@pytest.mark.parametrize(
    ("name", "text"),
    [("COLON^MARIA", "Wall of the colon."), ("STONE^SAM", "Renal stone."), ("FOLEY^ANN", "Foley catheter in place.")],
)
def test_a_patient_who_is_called_like_a_finding(name: str, text: str) -> None:
    """A patient called Stone still has stones."""
    assert check_identifiers(text, patient=Patient(name=name)) == ()


def test_messages_quote_nothing() -> None:
    """Neither the message nor the repr of a flag repeats the identifier."""
    for flag in check_identifiers("Ms. Doe, MRN 900001, DOB 01/02/1960, Jane", patient=JANE):
        assert not {"Doe", "Jane", "900001", "1960"} & set(f"{flag.message} {flag!r}".replace(",", " ").split())


@given(st.text(st.sampled_from("Ms. Doe MRN90^/1\n-é"), max_size=80))
def test_any_text(text: str) -> None:
    """Whatever the text: the same answer twice, and spans inside it."""
    flags = check_identifiers(text, patient=JANE)
    assert flags == check_identifiers(text, patient=JANE)
    assert all(0 <= s.start < s.end <= len(text) for f in flags for s in f.spans)


def test_a_text_far_beyond_any_draft() -> None:
    """A draft of 200 KB is read up to a limit."""
    text = "Small effusion. " * 13_000 + "MRN 900001"
    assert len(text) > 16 * MAX_READ_CHARS
    assert check_identifiers(text, patient=JANE) == ()
