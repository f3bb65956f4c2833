"""What is kept of a signed report, and what a change of its case means to the memory."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.assemble import Consequences
from radbridge.case import Case, CaseKey, CaseState, Order, Patient, Radiologist, ReportText
from radbridge.events import OrderPlaced, ReportDictated, ReportSigned
from radbridge.example import MAX_EXAMPLE_CHARS, StyleExample
from radbridge.imaging import Prior
from radbridge.memory import Change, name_of, number_of, remember, weigh_memory

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
SIGNED = Case(
    key=CaseKey(accession="A100001"),
    patient=Patient(id="900001", name="DOE^JANE", birth_date=date(1970, 1, 1)),
    order=Order(placer="PL55501", filler="FI55502"),
    report=ReportText(findings="Small effusion.", impression="Effusion."),
    signer=Radiologist(id="1001", name="READ^GREGORY"),
    state=CaseState.SIGNED,
    signed_at=AT,
)
NOTHING = Consequences()


def test_no_identifier_is_kept() -> None:
    """Names, numbers and dates that belong to the case are gone from both texts; what was found stays."""
    told = "Jane Doe (MRN 900001, A100001, PL55501, FI55502), born 1/1/1970. An effusion. Gregory Read, 3/1/2026."
    kept = remember(replace(SIGNED, report=ReportText(findings=told, impression=told)), 7, told=(), secret=b"s")
    assert kept is not None
    for text in (kept.findings, kept.impression):
        for word in ("Jane", "Doe", "900001", "A100001", "55501", "55502", "1/1/1970", "Read", "Gregory", "3/1/2026"):
            assert word not in text
        assert "effusion" in text
    assert (kept.number, kept.signer, kept.example.id) == (7, "1001", "m7")
    assert "effusion" not in repr(kept)


def test_nobody_who_was_ever_told_of() -> None:
    """A patient or a signer whom an earlier message named is gone too: the text may be from that time."""
    text = "An effusion. Jane Doe knows. Read by Roe. MRN 7700123."
    report = ReportText(findings=text, impression=text)
    case = replace(SIGNED, patient=Patient(id="900002", name="SMITH^ANN"), report=report)
    told = (
        OrderPlaced(key=SIGNED.key, at=AT, patient=Patient(id="7700123", name="DOE^JANE")),
        ReportDictated(key=SIGNED.key, at=AT, report=report, signer=Radiologist(id="1002", name="ROE^RICHARD")),
    )
    kept = remember(case, 1, told=told, secret=b"s")
    assert kept is not None
    for word in ("Jane", "Doe", "Roe", "7700123"):
        assert word not in kept.findings + kept.impression


def test_what_training_learns_from() -> None:
    """The context, the prior's conclusion and the draft are scrubbed like the report, and are shown to nobody."""
    prior = Prior(study_uid="1.1", accession="P77123", impression="Nodule. Jane Doe was told. No mass.")
    report = replace(SIGNED.report, indication="Cough. Jane Doe smokes. Fever.")
    case = replace(SIGNED, report=report, prior=prior, priors=(prior,))
    told = "Effusion. Seen by Dr. Read. No mass, see P77123. A cyst."
    kept = remember(case, 1, told=(), secret=b"s", draft=told, message=17)
    assert kept is not None
    assert (kept.indication, kept.prior, kept.draft) == ("Cough. Fever.", "Nodule. No mass.", "Effusion. A cyst.")
    assert (kept.message, kept.corrected) == (17, False)
    assert kept.example == StyleExample(id="m1", findings="Small effusion.", impression="Effusion.")
    assert "yst" not in repr(kept)


def test_strangers() -> None:
    """A name that one text shows to be one is gone from the others too, though no message ever told of it."""
    report = ReportText(
        findings="Ferguson tolerated the procedure. Effusion on the left. The Okafor drain is in place.",
        impression="Effusion. Seen with Dr. Okafor. Ferguson is well.",
        indication="Ferguson, Alice. Pain. Referred by Abernathy. Alice has a cough.",
    )
    kept = remember(replace(SIGNED, report=report), 1, told=(), secret=b"s", draft="Effusion. Abernathy asked.")
    assert kept is not None
    assert (kept.findings, kept.impression) == ("Effusion on the left.", "Effusion.")
    assert (kept.indication, kept.draft) == ("Pain.", "Effusion.")


@pytest.mark.parametrize(
    "said",
    [
        "Hepatitis, Cirrhosis.",
        "Pain, Chest.",
        "Lymphoma, Staging.",
        "Fall, Pain.",
        "COUGH, FEVER.",
        "Aneurysm, Aortic.",
    ],
)
def test_what_only_looks_like_a_name(said: str) -> None:
    """Two words with a comma between them are no surname and given name, and take nothing away."""
    report = ReportText(findings="Stomach, Liver and spleen are normal. Nodule.", impression="Nodule.", indication=said)
    kept = remember(replace(SIGNED, report=report), 1, told=(), secret=b"s")
    assert kept is not None
    assert (kept.indication, kept.findings) == (said, report.findings)


def test_no_strangers() -> None:
    """A role, a word that stands small elsewhere, and a text of capitals make no names."""
    text = (
        "Discussed with Emergency Department. Emergency drainage. Department policy. Effusion left. No effusion right."
    )
    report = ReportText(
        findings=text, impression="DR. SMITH EFFUSION SEEN. EFFUSION IS SMALL.", indication="Dr. Effusion."
    )
    kept = remember(replace(SIGNED, report=report), 1, told=(), secret=b"s")
    assert kept is not None
    assert kept.findings == "Emergency drainage. Department policy. Effusion left. No effusion right."
    assert kept.impression == "EFFUSION IS SMALL."


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("CT CHEST of 2025-03-01.", r"CT CHEST of 20\d\d-\d\d-\d\d\."),
        ("Radiograph of March 1, 2025. Discussed with Jane Doe.", r""),
        ("None.", r"None\."),
    ],
)
def test_a_comparison(told: str, kept: str) -> None:
    """A comparison keeps its date, moved; one that names somebody keeps only what scrubbing left alone."""
    case = replace(SIGNED, report=replace(SIGNED.report, comparison=told))
    remembered = remember(case, 1, told=(), secret=b"s")
    assert remembered is not None
    assert re.fullmatch(kept, remembered.comparison)
    assert "2025-03-01" not in remembered.comparison


@pytest.mark.parametrize(
    ("impressions", "corrected"),
    [(("Effusion.",), False), (("Effusion.", " Effusion.\n", ""), False), (("Cyst.", "Effusion."), True)],
)
def test_signed_again(impressions: tuple[str, ...], corrected: bool) -> None:
    """Only another text is a correction: the same one sent again isn't, nor one without an impression."""
    told = tuple(
        ReportSigned(key=SIGNED.key, at=AT, report=ReportText(impression=said), signer=SIGNED.signer)
        for said in impressions
    )
    kept = remember(SIGNED, 1, told=told, secret=b"s")
    assert kept is not None
    assert kept.corrected is corrected


def test_long_texts_are_cut() -> None:
    """An example is never longer than a request may hold."""
    report = ReportText(findings="Effusion. " * 2_000, impression="Cyst. " * 2_000)
    kept = remember(replace(SIGNED, report=report), 1, told=(), secret=b"s")
    assert kept is not None
    for text in (kept.findings, kept.impression):
        assert MAX_EXAMPLE_CHARS - 1 <= len(text) <= MAX_EXAMPLE_CHARS


@pytest.mark.parametrize(
    "case",
    [
        replace(SIGNED, state=CaseState.WITHDRAWN),
        replace(SIGNED, signer=Radiologist()),
        replace(SIGNED, report=ReportText(findings="Effusion.")),
        replace(SIGNED, report=ReportText(impression="Effusion.")),
    ],
    ids=["withdrawn", "nobody signed", "no impression", "no findings"],
)
def test_what_is_no_example(case: Case) -> None:
    """A report without a signer, findings or impression, or one that was taken back, is never remembered."""
    assert remember(case, 1, told=(), secret=b"s") is None
    assert weigh_memory(SIGNED, case, Consequences(signed=True)) is Change.FORGET


@pytest.mark.parametrize(
    ("after", "what", "expected"),
    [
        (SIGNED, Consequences(signed=True), Change.EXPECT),
        (SIGNED, Consequences(signed=True, drop_examples="wrong patient or deleted"), Change.FORGET),
        (SIGNED, NOTHING, Change.NOTHING),
        (replace(SIGNED, report=replace(SIGNED.report, impression="Cyst.")), NOTHING, Change.EXPECT),
        (replace(SIGNED, signer=Radiologist(id="1002")), NOTHING, Change.EXPECT),
        (replace(SIGNED, patient=replace(SIGNED.patient, phones=("555-0100",))), NOTHING, Change.NOTHING),
        (replace(SIGNED, patient=replace(SIGNED.patient, name="ROE^JANE")), NOTHING, Change.FORGET),
        (replace(SIGNED, patient=replace(SIGNED.patient, id="900002")), NOTHING, Change.FORGET),
        (replace(SIGNED, state=CaseState.OPEN), NOTHING, Change.NOTHING),
    ],
)
def test_what_a_change_means(after: Case, what: Consequences, expected: Change) -> None:
    """Signed anew it is remembered anew; a patient who turns out to be another takes it out."""
    assert weigh_memory(SIGNED, after, what) is expected


def test_what_becomes_known() -> None:
    """A name that wasn't known when a report was scrubbed has it scrubbed anew."""
    before = replace(SIGNED, patient=Patient(id="900001"))
    assert weigh_memory(before, SIGNED, NOTHING) is Change.RENEW


@given(st.integers(0, 2**53))
def test_names_read_back(number: int) -> None:
    """A number and its name lead to one another."""
    assert number_of(name_of(number)) == number


@given(st.text(max_size=6))
def test_other_names_are_none(text: str) -> None:
    """Whatever else a server may answer is no report of ours."""
    number = number_of(text)
    assert number is None or name_of(number) == text or text.startswith("m0")
