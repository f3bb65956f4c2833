"""The case and its values."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.case import Case, CaseKey, Order, Patient, ReportText, Study, digest_findings, fill

KEY = CaseKey(accession="A-SECRET")


@given(st.text())
def test_digest_ignores_white_space_only(text: str) -> None:
    """Re-wrapping changes no digest; another character does."""
    assert digest_findings(text) == digest_findings("  " + text.replace(" ", "\n ") + "\n")
    assert digest_findings(text + "x") != digest_findings(text)


def test_no_findings_no_digest() -> None:
    """Without findings there is nothing that a draft could be made from."""
    assert digest_findings(" \n ") == ""


def test_repr_shows_no_patient() -> None:
    """The text form of a case holds no PHI."""
    case = Case(
        key=KEY,
        patient=Patient(id="MRN-SECRET", name="SECRET^JANE", birth_date=date(1970, 1, 2), address="SECRET ST"),
        order=Order(placer="P-SECRET", reason="SECRET reason"),
        report=ReportText(findings="SECRET findings", impression="SECRET"),
    )
    assert "SECRET" not in repr(case)
    assert "1970" not in repr(case)


@pytest.mark.parametrize(
    ("born", "at", "age"),
    [
        (date(1970, 3, 2), datetime(2026, 3, 1, tzinfo=UTC), 55),
        (date(1970, 3, 1), datetime(2026, 3, 1, tzinfo=UTC), 56),
        (date(2030, 1, 1), datetime(2026, 3, 1, tzinfo=UTC), None),
        (None, datetime(2026, 3, 1, tzinfo=UTC), None),
    ],
)
def test_age_is_counted_at_the_study(born: date | None, at: datetime, age: int | None) -> None:
    """Age is in whole years at the study; a birth in the future is no age."""
    assert Case(key=KEY, patient=Patient(birth_date=born), study=Study(at=at)).age == age


def test_indication_says_nothing_twice() -> None:
    """What the report and the order both say is said once."""
    order = Order(reason="Cough", clinical_information="cough. Fever")
    case = Case(key=KEY, order=order, report=ReportText(indication="Cough"))
    assert case.indication == "Cough. cough. Fever."
    assert Case(key=KEY, order=Order(reason="Cough", clinical_information="COUGH")).indication == "Cough."


def test_fill_keeps_what_it_isnt_told() -> None:
    """An empty field of a message erases nothing."""
    known = Patient(id="1", name="DOE^JANE")
    assert fill(known, Patient(id="2")) == Patient(id="2", name="DOE^JANE")
    assert fill(known, Patient()) is known
