"""The second checker: reads claims without the guard, and tells what a draft gets wrong, makes up and leaves out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.evaluation.claims import Claim, State, read_claims, read_sizes
from radbridge.evaluation.resample import sum_rows
from radbridge.evaluation.rows import Draft, Pair, Reference
from radbridge.evaluation.second import SecondChecker, find_wrong
from radbridge.evaluation.sums import tabulate
from radbridge_training.synth import Part, generate_reports, pick_personas

PRESENT, POSSIBLE, ABSENT = State.PRESENT, State.POSSIBLE, State.ABSENT
FINDINGS = (
    "Moderate left pleural effusion. No pneumothorax. A 12 mm nodule in the right upper lobe. Possible pneumonia."
)


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("Small left pleural effusion.", {Claim("effusion", PRESENT, "left")}),
        ("No pneumothorax, edema, or effusion is identified.", {
            Claim("pneumothorax", ABSENT), Claim("edema", ABSENT), Claim("effusion", ABSENT),
        }),
        ("No fracture, but a small effusion is seen.", {Claim("fracture", ABSENT), Claim("effusion", PRESENT)}),
        ("Pneumonia cannot be excluded.", {Claim("pneumonia", POSSIBLE)}),
        ("Appendicitis is not seen.", {Claim("appendicitis", ABSENT)}),
        ("No change in the mass.", {Claim("mass", PRESENT)}),
        ("Mass effect.", {Claim("mass_effect", PRESENT)}),
        ("Right lower lobe pneumonia with left pleural effusion.", {
            Claim("pneumonia", PRESENT, "right"), Claim("effusion", PRESENT, "left"),
        }),
        ("EFFUSIONS IN THE LEFT AND RIGHT CHEST", {Claim("effusion", PRESENT, "both")}),
        ("Question of torsion.", {Claim("torsion", POSSIBLE)}),
        ("No acute intracranial abnormality.", {Claim("normal/head", ABSENT), Claim("abnormality", ABSENT)}),
        ("1. Normal.\n2. No other acute process.", {Claim("normal/whole", ABSENT), Claim("abnormality", ABSENT)}),
        ("", set()),
    ],
)  # fmt: skip
def test_claims_are_read_with_state_and_side(text: str, claims: set[Claim]) -> None:
    """Negation reaches to the end of a list and no further, doubt isn't denial, and a side belongs to one finding."""
    assert read_claims(text) == claims


def test_a_size_is_one_whatever_its_unit() -> None:
    """1.2 cm and 12 mm are the same; both numbers of a pair count."""
    assert read_sizes("A 1.2 x 3 cm mass, 40 HU, 2-mm stone") == {"12 mm", "30 mm", "40 hu", "2 mm"}


@pytest.mark.parametrize(
    ("draft", "wrong"),
    [
        ("Left pleural effusion.", set()),
        ("Pleural effusion.", set()),
        ("Right pleural effusion.", {"effusion", "side of pleural"}),
        ("No pleural effusion.", {"effusion"}),
        ("No right effusion.", set()),
        ("Pneumothorax.", {"pneumothorax"}),
        ("Pneumonia.", {"pneumonia"}),
        ("Possible left effusion. Possible pneumonia.", set()),
        ("21 mm nodule.", {"21 mm"}),
        ("Fracture.", set()),
    ],
)
def test_what_the_findings_contradict_is_wrong(draft: str, wrong: set[str]) -> None:
    """Another state, another side, another number; to be less sure than the findings is none, to be surer is."""
    assert find_wrong(draft, FINDINGS) == wrong


@pytest.mark.parametrize(
    ("draft", "wrong"),
    [
        ("Small left effusion, increased.", set()),
        ("Large left effusion.", {"degree of effusion"}),
        ("Left effusion, unchanged.", {"trend of effusion"}),
        ("Nodule in the left lower lobe.", {"third of nodule", "nodule"}),
        ("Disc herniation at L3-L4.", {"level of disc_herniation"}),
        ("Disc herniation at L4-5.", set()),
        ("Chronic infarct.", {"age of infarct"}),
        ("Cyst of the liver.", {"organ of cyst"}),
        ("No large hernia.", set()),
        ("Acute disease.", {"abnormality"}),
    ],
)
def test_degree_trend_and_place_are_held_to_the_findings(draft: str, wrong: set[str]) -> None:
    """Another value than the findings tell of the same thing is wrong; where they tell none, nothing is."""
    told = "Small left effusion has increased. Nodule in the right upper lobe. Disc herniation at L4-L5. Acute infarct."
    assert find_wrong(draft, f"{told} Renal cyst. Mass. No acute disease.") == wrong


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("No acute cardiopulmonary abnormality.", "Large right pneumothorax."),
        ("Normal. Acute appendicitis.", "Acute appendicitis."),
        ("No acute findings.", "Displaced fracture of the left hip."),
    ],
)
def test_a_normal_study_beside_an_acute_finding_is_wrong(draft: str, findings: str) -> None:
    """Every word may be supported, and the text is wrong all the same."""
    assert any(name.startswith("normal/") for name in find_wrong(draft, findings))


def test_rows_count_wrong_made_up_and_left_out() -> None:
    """One draft with one of each."""
    told = Reference(id="1", findings=FINDINGS, impression="Left effusion. Right upper lobe nodule.")
    pair = Pair(number=1, reference=told, draft=Draft(id="1", draft="Right effusion. Fracture."))
    table = tabulate([pair], [SecondChecker()])
    found = {figure.name: float(figure.estimate(sum_rows(rows))) for figure, rows in table.figures()}
    assert found == {"second_wrong": 1.0, "second_invented": 1.0, "second_left_out": 1.0}


SENTENCES = st.builds(
    "{}{} {}{}.".format,
    st.sampled_from(["", "No ", "Possible ", "There is no ", "Small "]),
    st.sampled_from(["left", "right", "bilateral", ""]),
    st.sampled_from(["effusion", "pneumothorax", "nodule", "fracture", "mass effect", "12 mm mass"]),
    st.sampled_from(["", " on the left", " is not seen", " cannot be excluded", ", likely chronic"]),
)


@given(st.lists(SENTENCES, max_size=6).map(" ".join))
def test_no_text_contradicts_itself(text: str) -> None:
    """What stands in the findings word for word is never wrong, unless they call an acute study normal."""
    assert all(name.startswith("normal/") for name in find_wrong(text, text))


@given(st.lists(SENTENCES, max_size=4).map(" ".join))
def test_capitals_change_nothing(text: str) -> None:
    """A signer of capitals only claims the same."""
    assert read_claims(text.upper()) == read_claims(text)


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    """No text breaks the reader."""
    assert all(isinstance(claim, Claim) for claim in read_claims(text))
    assert all(" " in size for size in read_sizes(text))


def test_it_sees_swapped_sides_and_seldom_errs_with_true_texts() -> None:
    """Of generated reports nine in ten swaps are seen, and of the true texts less than one in twenty is doubted."""
    persona = pick_personas(990, 1, Part.HELD_OUT)[0]
    told = [(report.write_as(persona), report.findings) for report in generate_reports(990_777, 60)]
    sided = [(draft, findings) for draft, findings in told if re.search(r"\b(?:left|right)\b", draft, re.IGNORECASE)]
    seen = sum(bool(find_wrong(swap_sides(draft), findings)) for draft, findings in sided)
    doubted = sum(bool(find_wrong(draft, findings)) for draft, findings in told)
    assert seen >= 0.9 * len(sided)
    assert doubted <= 0.05 * len(told)


def swap_sides(text: str) -> str:
    return re.sub(
        r"\b(left|right)\b",
        lambda match: {"left": "right", "right": "left"}[match[0].lower()],
        text,
        flags=re.IGNORECASE,
    )
