"""The guard: what it flags, what it lets pass."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radbridge.draft import Severity
from radbridge.guard import check_draft, unsupported_words
from radbridge.text.vocabulary import read_toml

FINDINGS = (
    "There is a 2.3 cm spiculated nodule in the right upper lobe. Small left pleural effusion. No pneumothorax. "
    "The liver measures 15 x 12 cm and is normal. The heart is enlarged."
)
TERMS = [
    term for tier in read_toml("radbridge.text", "findings.toml").values() for row in tier.values() for term in row
]
SELF_KINDS = {"laterality", "negation", "measurement", "unsupported"}


def kinds(draft: str, findings: str = FINDINGS, sex: str = "", age: int | None = None) -> set[str]:
    return {flag.kind for flag in check_draft(draft, findings, sex=sex, age=age)}


@pytest.mark.parametrize(
    ("draft", "kind"),
    [
        ("2.3 cm nodule in the left upper lobe.", "laterality"),
        ("Right pleural effusion.", "laterality"),
        ("Bilateral pleural effusions.", "laterality"),
        ("Small left effusion with pneumothorax.", "negation"),
        ("No pleural effusion.", "negation"),
        ("No pulmonary nodule.", "negation"),
        ("23 cm nodule in the right upper lobe.", "measurement"),
        ("2.3 mm nodule in the right upper lobe.", "measurement"),
        ("3.2 cm nodule in the right upper lobe.", "measurement"),
        ("Liver metastases.", "unsupported"),
        ("Unchanged nodule in the right upper lobe.", "comparison"),
    ],
)
def test_one_error_raises_its_flag(draft: str, kind: str) -> None:
    """A side, a denial, a size, a finding or a comparison that the findings don't hold is flagged by its kind."""
    assert kind in kinds(draft)


@pytest.mark.parametrize(
    "draft",
    [
        "2.3 cm nodule in the right upper lobe, suspicious. Recommend clinical correlation.",
        "23 mm nodule in the right upper lobe.",
        "2 cm right upper lobe nodule.",
        "1. Right upper lobe nodule. 2. Small left effusion.",
        "Cardiomegaly.",
        "Possible metastasis.",
        "No pneumothorax.",
        "Liver 15 x 12 cm.",
        "",
    ],
)
def test_a_true_draft_raises_nothing(draft: str) -> None:
    """Rounding, other units, list numbers, synonyms, doubt and framing words are no errors."""
    assert kinds(draft) == set()


@pytest.mark.parametrize(
    ("draft", "sex", "age"),
    [
        ("Enlarged prostate.", "F", 50),
        ("Thickened endometrium.", "M", 50),
        ("Postmenopausal bleeding.", "F", 12),
        ("Fracture in a 54-year-old.", "", 30),
    ],
)
def test_a_word_that_cant_be_said_of_the_patient_is_flagged(draft: str, sex: str, age: int) -> None:
    """The other sex's organs, a life stage at the wrong age and another age are flagged."""
    assert kinds(draft, draft, sex, age) == {"sex_or_age"}


def test_an_unknown_sex_contradicts_nothing() -> None:
    """Without a sex or with `O`, no organ is wrong."""
    assert kinds("Enlarged prostate. Normal uterus.", "Enlarged prostate. Normal uterus.", "O") == set()


@pytest.mark.parametrize(
    "finding", ["Large right pneumothorax.", "Acute pulmonary emboli.", "Free intraperitoneal air."]
)
def test_a_critical_finding_left_out_is_flagged(finding: str) -> None:
    """A draft that passes over a critical finding is flagged as critical; an old one may be left out."""
    flags = check_draft("Small left effusion.", f"{finding} Small left effusion.")
    assert [(flag.kind, flag.severity) for flag in flags] == [("omitted", Severity.CRITICAL)]
    assert kinds("Small left effusion.", f"Prior: {finding} Small left effusion.") == set()


@pytest.mark.parametrize("prior", ["", "None.", "None available"])
def test_a_comparison_needs_a_prior(prior: str) -> None:
    """`Unchanged` is flagged where no prior is named, and isn't where one is."""
    assert [f.kind for f in check_draft("Unchanged nodule.", "Nodule.", comparison=prior)] == ["comparison"]
    assert check_draft("Unchanged nodule.", "Nodule.", comparison="CT of last year") == ()


def test_a_flag_hides_the_report_from_logs() -> None:
    """The repr of a flag shows no report text."""
    (flag,) = check_draft("Pneumothorax.", "No pneumothorax.")
    assert "pneumothorax" not in repr(flag)


@pytest.mark.parametrize(
    ("text", "source", "missing"),
    [
        ("Small left effusion.", "Small right effusion.", ["left"]),
        ("Bilateral effusions.", "Left effusion. Right effusion.", []),
        ("Glorbosis of 2.0 cm.", "A 2 cm blenk.", ["glorbosis"]),
        ("No evidence of acute fracture. Clinical correlation recommended.", "No fracture.", []),
        ("Renal calculus at L4.", "Kidney stones at L3-4.", []),
        ("Disc bulge at L5.", "Disc bulge at L4.", ["l5"]),
        ("1. Mass. 2. Cyst.", "Mass and cyst.", []),
        ("Cardiomegaly.", "The heart is normal.", ["cardiomegaly"]),
        ("Cardiomegaly.", "The heart is enlarged.", []),
        ("Severe stenosis.", "Mild stenosis.", ["severe"]),
    ],
)
def test_unsupported_words_are_those_that_no_source_holds(text: str, source: str, missing: list[str]) -> None:
    """Sides, numbers, grades and findings need a source; inflections, synonyms and framing words don't."""
    assert unsupported_words(text, source) == missing


_PIECES = st.sampled_from(
    [
        *TERMS,
        "no",
        "left",
        "right",
        "bilateral",
        "2.3 cm",
        "x 4 mm",
        ".",
        ",",
        "but",
        "is not seen",
        "without",
        "LUNGS:",
        "\n",
    ]
)


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=30).map(" ".join)))
@settings(max_examples=300)
def test_a_text_never_contradicts_itself(text: str) -> None:
    """A text checked against itself raises none of these flags, and never fails."""
    flags = check_draft(text, text, sex="F", age=40)
    assert {flag.kind for flag in flags}.isdisjoint(SELF_KINDS)
    assert flags == check_draft(text, text, sex="F", age=40)
    assert unsupported_words(text, text) == []


@given(st.text(max_size=80), st.text(max_size=80), st.lists(_PIECES, max_size=10).map(" ".join))
def test_more_findings_support_no_less(draft: str, findings: str, more: str) -> None:
    """A sentence added to the findings never makes a word unsupported."""
    assert set(unsupported_words(draft, findings, more)) <= set(unsupported_words(draft, findings))


def test_a_text_far_beyond_any_report_is_answered() -> None:
    """200 KB of findings are read up to a limit; the check neither fails nor hangs."""
    assert check_draft("Small left effusion.", "Small left pleural effusion. " * 7_000) == ()
