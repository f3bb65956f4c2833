"""What the guard promises of any text, however odd: it answers, and never makes up a contradiction."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radbridge.guard import check_draft, unsupported_words
from radbridge.guard.check import MAX_FLAGS
from radbridge.text.vocabulary import read_toml

TERMS = [
    term for tier in read_toml("radbridge.text", "findings.toml").values() for row in tier.values() for term in row
]
SELF_KINDS = {
    "laterality",
    "negation",
    "measurement",
    "unsupported",
    "certainty",
    "count",
    "device",
    "omitted",
    "site",
}
"""`comparison` isn't among them: a prior has to be named."""


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


_SENTENCES = st.lists(_PIECES, max_size=8).map(lambda words: " ".join(words) + ".")


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=30).map(" ".join)))
@settings(max_examples=300)
def test_a_text_never_contradicts_itself(text: str) -> None:
    """A text checked against itself raises none of these flags, and never fails."""
    flags = check_draft(text, text, sex="F", age=40)
    assert {flag.kind for flag in flags}.isdisjoint(SELF_KINDS)
    assert all(0 <= s.start < s.end <= len(text) for flag in flags for s in flag.spans)
    assert flags == check_draft(text, text, sex="F", age=40)
    assert unsupported_words(text, text) == []


@given(st.text(max_size=80), st.text(max_size=80), st.lists(_PIECES, max_size=10).map(" ".join))
def test_more_findings_support_no_less(draft: str, findings: str, more: str) -> None:
    """A sentence added to the findings never makes a word unsupported."""
    assert set(unsupported_words(draft, findings, more)) <= set(unsupported_words(draft, findings))


@given(st.lists(_PIECES, max_size=MAX_FLAGS).map(" ".join), st.lists(_PIECES, max_size=20).map(" ".join), _SENTENCES)
def test_a_sentence_more_never_makes_a_finding_unsupported(draft: str, findings: str, more: str) -> None:
    """Findings with a sentence added never raise an `unsupported` flag that they hadn't raised before.

    A device's flag may also be a contradiction, which the sentence may well bring: those aren't counted.
    """

    def missing(*told: str) -> set[str]:
        flags = check_draft(draft, "\n\n".join(told))
        missing = [f for f in flags if f.kind == "device" and f.message.startswith("the findings don't mention")]
        return {f.message for f in (*missing, *(f for f in flags if f.kind == "unsupported"))}

    assert missing(findings, more) <= missing(findings)


def test_a_text_far_beyond_any_report_is_answered() -> None:
    """200 KB of findings are read up to a limit; the check neither fails nor hangs."""
    assert check_draft("Small left effusion.", "Small left pleural effusion. " * 7_000) == ()
