"""Identifiers leave a text, and its medicine stays."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.case import Order, Patient
from radbridge.deidentify import scrub

KEY = b"a site's secret"
PATIENT = Patient(
    id="0090001",
    issuer="HOSP",
    name="O'BRIEN-DOE^JANÉ^QUILLA",
    birth_date=date(1931, 3, 4),
    phones=("(555) 010-1234",),
    address="12 ELM ST^APT 4^SPRINGFIELD^IL^62701",
    other_ids=("A77123", "V-2024-5521"),
)
ORDER = Order(placer="P-44120", filler="ACC2024000123")
OTHERS = ("SMITH^ALAN^T", "ACC-99-1200", "WU^LI")

# What was planted, and texts as dictation and templates make them.
PLANTED = (
    ("Jane", "Jane Doe is a 62-year-old."),
    ("JANE", "PATIENT: JANE DOE."),
    ("Obrien", "Ms. Obrien was examined."),
    ("brien", "o'brien-doe, jane returned."),
    ("O’Brien", "Mrs. O’Brien’s prior CT."),
    ("Quilla", "doe, jane quilla"),
    ("DOE^", "PID name DOE^JANE^Q"),
    ("Jané", "Jané was seen."),
    ("90001", "MRN 0090001."),
    ("90001", "MRN:90001"),
    ("90001", "chart 00-90001 pulled"),
    ("A77123", "account A77123"),
    ("2024-5521", "Visit V-2024-5521"),
    ("000123", "Accession ACC-2024-000123"),
    ("44120", "order P44120"),
    ("1200", "compared with ACC-99-1200"),
    ("010", "Call 555-010-1234."),
    ("010", "Call (555) 010-1234."),
    ("010", "call 555.010.1234"),
    ("1234", "reach us at 010-1234"),
    ("Elm", "Lives at 12 Elm Street."),
    ("ELM", "12 ELM ST., SPRINGFIELD"),
    ("Springfield", "Transferred from Springfield."),
    ("62701", "IL 62701-1234"),
    ("1931", "born 3/4/1931"),
    ("1931", "DOB: 1931-03-04"),
    ("1931", "DOB 19310304"),
    ("31", "DOB 3/4/31"),
    ("1931", "born on March 4th, 1931"),
    ("1931", "4 Mar 1931"),
    ("1931", "04.03.1931"),
    ("Smith", "Discussed with Dr. Alan Smith at 3 PM."),
    ("Alan", "Discussed with Dr. Alan Smith at 3 PM."),
    ("SMITH", "ELECTRONICALLY SIGNED BY: ALAN T. SMITH, MD"),
    ("Wu", "Read by Dr. Wu."),
    ("Adams", "Results called to Dr. Robert Adams."),
    ("Kelly", "Reported to RN Kelly by phone."),
    ("Jensen", "Referring physician: Karen Jensen"),
    ("Novak", "I, Peter Novak MD, reviewed the images."),
    ("800123", "MRN# 800123-4"),
    ("4567890", "Prior study 4567890."),
    ("123-45", "SSN 123-45-6789"),
    ("jd@", "Mail jd@example.org"),
    ("pacs", "https://pacs.example.org/v?id=1"),
    ("840", "UID 1.2.840.113619.2.55.3"),
    ("0142", "Phone +44 20 7946 0142"),
    ("Maple", "lives at 400 Maple Avenue"),
    ("11/20", "seen on 11/20"),
    ("November 20", "Seen November 20."),
    ("93", "A 93-year-old woman."),
    ("101", "101 y/o"),
    ("95", "95F with a cough"),
)

ORDINARY = (
    "No acute abnormality. The liver measures 12.5 x 3.4 x 2.1 cm, 45 HU (range 120-130 HU).",
    "1. Stable 4 mm nodule, series 4, image 120.\n2. T2/FLAIR hyperintensity at C5-6 and L4-L5.",
    "Grade 3/6 disc, 3/4 of the lumen. BI-RADS 2. Gleason 3 + 4 = 7. ASA 3-5-10 mm margins.",
    "Baker cyst. Smith fracture. Graves disease. Hill-Sachs lesion. May represent atelectasis; may 3 mm be enough?",
    "BROWN FAT UPTAKE. NO STONE SEEN. SHORT AXIS 9 MM. WHITE MATTER IS NORMAL.",
    "Findings may be followed in 6 to 12 months. A 62-year-old man, status post CABG in 2019.",
    "MS plaques at 1.5 T. CPT 71260, SUV 3.2, 1,200,000 counts, 740 MBq, ejection fraction 55-60%.",
    "Dr. was informed; March fracture of the second metatarsal. Version 2.5.1. FIGO IIb.",
)


def clean(text: str, patient: Patient = PATIENT) -> str:
    return scrub(text, patient=patient, order=ORDER, others=OTHERS, key=KEY)


@pytest.mark.parametrize(("planted", "text"), PLANTED)
def test_a_planted_identifier_is_found(planted: str, text: str) -> None:
    """Every planted identifier goes: names in any order and case, numbers, phones, addresses, dates, great ages."""
    assert planted.lower() not in clean(text).lower()


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """Measurements, levels, grades, eponyms and ordinary words are no identifiers."""
    assert clean(text) == text


def test_a_placeholder_says_what_was_there() -> None:
    """A text stays readable: each kind of identifier has a placeholder of its own, a row of names has one."""
    text = "Jane Q. O'Brien-Doe, MRN 90001, 12 Elm Street, 555-010-1234, seen by Dr. Alan Smith. Her liver is normal."
    assert clean(text) == "[NAME], MRN [ID], [ADDRESS], [PHONE], seen by Dr. [NAME]. Her liver is normal."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Stone was seen. A 4 mm stone is seen.", "Mr. [NAME] was seen. A 4 mm stone is seen."),
        ("Stone in the bladder. Gallbladder: Stone of 3 mm.", "Stone in the bladder. Gallbladder: Stone of 3 mm."),
        ("Stone presented with pain.", "[NAME] presented with pain."),
        ("The CT of Stone shows a stone.", "The CT of [NAME] shows a stone."),
        ("STONE, MAY: NO KIDNEY STONE.", "[NAME]: NO KIDNEY STONE."),
        ("It may be seen in May. The patient May was well.", "It may be seen in May. The patient [NAME] was well."),
    ],
)
def test_a_name_that_is_a_word_is_told_apart_by_its_place(text: str, expected: str) -> None:
    """A patient named Stone still has stones, and one named May may still have findings."""
    assert clean(text, Patient(name="STONE^MAY")) == expected


def test_a_patient_named_like_a_disease_keeps_the_disease() -> None:
    """An eponym before its noun is the disease; anywhere else it is the patient."""
    assert clean("Baker has a Baker cyst.", Patient(name="BAKER^TOM")) == "[NAME] has a Baker cyst."


@given(
    st.dates(date(2001, 1, 1), date(2030, 1, 1)),
    st.integers(0, 400),
    st.sampled_from(["%Y-%m-%d", "%m/%d/%Y", "%Y%m%d"]),
)
def test_dates_move_together(first: date, days: int, form: str) -> None:
    """Days between two dates of one patient stay, in any form, and no date stays where it was."""
    second = first + timedelta(days=days)
    text = clean(f"{first.strftime(form)} then {second.strftime(form)}")
    moved = [date.fromisoformat(d) if "-" in d else _read(d, form) for d in text.split(" then ")]
    assert moved[1] - moved[0] == timedelta(days=days)
    assert moved[0] != first


def _read(text: str, form: str) -> date:
    if form == "%Y%m%d":
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    month, day, year = text.split("/")
    return date(int(year), int(month), int(day))


@pytest.mark.parametrize("born", ["3/4/1931", "1931-03-04", "19310304", "3/4/31", "March 4, 1931", "04.03.1931"])
def test_the_birth_date_is_not_moved_but_dropped(born: str) -> None:
    """A moved birth date beside other moved dates would tell the age to the day."""
    assert clean(f"DOB {born}.") == "DOB [DATE]."


def test_dates_move_by_key_and_patient() -> None:
    """The same key and patient move a date the same way in every export; another key or patient another way."""
    text = "CT of 11/20/2024."
    assert clean(text) == clean(text)
    assert clean(text) != scrub(text, patient=PATIENT, key=b"another")
    assert clean(text) != clean(text, Patient(id="90002"))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("3 Mar 2024", r"\d{1,2} [A-Z][a-z]{2} \d{4}"),
        ("March 3, 2024", r"[A-Z][a-z]{2,} \d{1,2}, \d{4}"),
        ("MARCH 2024", r"[A-Z]{3,} \d{4}"),
        ("1/2/24", r"\d{1,2}/\d{1,2}/\d{2}"),
        ("31.12.2024", r"\d{2}\.\d{2}\.\d{4}"),
        ("20241231235959", r"\d{14}"),
    ],
)
def test_a_moved_date_keeps_its_form(text: str, form: str) -> None:
    """A date is written again as it was written."""
    assert re.fullmatch(form, clean(text))
    assert clean(text) != text


@given(st.text(max_size=300))
def test_any_text_can_be_scrubbed(text: str) -> None:
    """No text makes it fail, and no known number outlives it."""
    assert "0090001" not in clean(f"{text} 0090001 {text}")


@given(st.text(alphabet="abc ^&~|'’-.(*+?\\[", min_size=0, max_size=20), st.text(max_size=60))
def test_any_name_can_be_looked_for(name: str, text: str) -> None:
    """A name with the signs of a pattern in it is only a name."""
    scrub(text, patient=Patient(name=name, id=name, address=name), others=(name,), key=KEY)
