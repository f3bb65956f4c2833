"""The coarse stage: what it keeps, what it drops, and what it never does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radbridge.coarse import Kind, draft_coarse
from radbridge.coarse.drafter import MAX_IMPLIED
from radbridge.guard import check_draft, unsupported_words
from radbridge.text.vocabulary import WEIGHTS, read_toml

NORMAL_CHEST = "The lungs are clear. Heart size is normal. No pleural effusion or pneumothorax."
FINDINGS = read_toml("radbridge.text", "findings.toml")
GRAVE = [
    term
    for tier in ("critical", "major")
    for terms in FINDINGS[tier].values()
    for term in terms
    if not term.startswith(("no ", "absen"))
]


def test_a_normal_study_is_called_normal_in_the_words_of_its_region() -> None:
    """Where nothing is abnormal the draft says so, for the region that the findings speak of."""
    assert draft_coarse(NORMAL_CHEST).text == "No acute cardiopulmonary abnormality."


@pytest.mark.parametrize("term", GRAVE)
def test_a_grave_finding_is_never_called_normal(term: str) -> None:
    """Each critical or major finding of the vocabulary is in the draft, and the normal phrase isn't."""
    draft = draft_coarse(f"{NORMAL_CHEST} There is {term} on the left. Mild degenerative changes of the spine.").text
    assert term in draft.lower()
    assert "No acute" not in draft


@pytest.mark.parametrize("term", GRAVE)
def test_a_denied_finding_is_never_affirmed(term: str) -> None:
    """A draft names a denied finding only to deny it."""
    draft = draft_coarse(f"The liver is normal. No {term} is seen.", indication=f"Rule out {term}").text
    assert term not in re.sub(r"No [^.]*\.", "", draft).lower()


def test_something_unheard_of_is_kept() -> None:
    """A finding that no vocabulary holds isn't taken for normal."""
    assert draft_coarse("Small glorbosis of the left blenk is present. " + NORMAL_CHEST).text == (
        "Small glorbosis of the left blenk."
    )


def test_the_critical_finding_comes_first() -> None:
    """A pneumothorax goes before a nodule that was dictated earlier."""
    draft = draft_coarse("There is a 5 mm nodule in the lingula. A small right pneumothorax is noted.").text
    assert draft == "A small right pneumothorax. 5 mm nodule in the lingula."


@pytest.mark.parametrize(
    ("clause", "answer"),
    [
        ("The osseous structures show no acute abnormality.", "The osseous structures show no acute abnormality."),
        ("The kidneys demonstrate no focal abnormality.", "The kidneys demonstrate no focal abnormality."),
        ("There is no acute abnormality.", "No acute abnormality."),
        ("The aorta is normal without dissection.", "No dissection."),
    ],
)
def test_an_answer_denies_no_more_than_was_denied(clause: str, answer: str) -> None:
    """That bones show nothing acute is not told as nothing acute: the chest may hold an effusion."""
    draft = draft_coarse(f"{clause} Small pleural effusion.", indication="Abnormality? Dissection?")
    assert answer in draft.text
    assert draft.text.replace(answer, "").strip() == "Small pleural effusion."


@pytest.mark.parametrize(
    ("indication", "findings", "answer"),
    [
        ("Dyspnea, rule out PE", "No pulmonary embolism. Lungs clear.", "No pulmonary embolism."),
        ("Appendicitis?", "The appendix is normal. The bowel is normal.", "The appendix is normal."),
        ("Fall from ladder", "There is no acute fracture. Alignment is normal.", "No acute fracture."),
        ("Evaluate for dissection", "The aorta is normal without dissection.", "No dissection."),
    ],
)
def test_a_question_is_answered_first(indication: str, findings: str, answer: str) -> None:
    """What the clinical information asks, or a complaint implies, is answered though the answer is no."""
    draft = draft_coarse(findings, indication=indication)
    assert draft.statements[0].kind is Kind.ANSWER
    assert draft.text.startswith(answer)


def test_a_denial_that_another_statement_contradicts_is_no_answer() -> None:
    """`No pneumothorax on the right` doesn't answer for the left."""
    findings = "There is no pneumothorax on the right. A large left pneumothorax is noted."
    assert draft_coarse(findings, indication="Rule out pneumothorax").text == "A large left pneumothorax."


@pytest.mark.parametrize(
    ("findings", "draft"),
    [
        ("RIGHT KIDNEY: 8 mm stone. LEFT KIDNEY: Normal.", "Right kidney: 8 mm stone."),
        (
            "L4-L5: Normal.\nL5-S1: Protrusion touching the left S1 root.",
            "L5-S1: Protrusion touching the left S1 root.",
        ),
    ],
)
def test_side_and_level_of_a_heading_go_with_its_statement(findings: str, draft: str) -> None:
    """A statement taken out from under its heading still says where it is."""
    assert draft_coarse(findings).text == draft


@pytest.mark.parametrize(
    ("findings", "indication", "draft"),
    [
        ("The left kidney is normal without a stone.", "? stone", "The left kidney is normal without a stone."),
        ("The right lung is clear except for a nodule.", "", "Right lung is clear except for a nodule."),
        ("Ultrasound of the left breast shows a cyst.", "", "Ultrasound of the left breast shows a cyst."),
        ("The left kidney is large and there is a stone.", "", "Left kidney is large and there is a stone."),
        ("A mass measures 3 cm but is stable.", "", "A mass measures 3 cm but is stable."),
        (
            "Liver mass without evidence of invasion and with enlarged nodes.",
            "",
            "Liver mass without evidence of invasion and with enlarged nodes.",
        ),
    ],
)
def test_shortening_never_changes_the_meaning(findings: str, indication: str, draft: str) -> None:
    """A side, a level, a subject or a second finding isn't cut off to save words."""
    assert draft_coarse(findings, indication=indication).statements[0].text == draft


def test_only_the_exception_of_a_normal_statement_is_kept() -> None:
    """`Clear except for ...` is cut down to what isn't clear."""
    assert draft_coarse("Lungs are clear except for a 4 mm nodule in the right apex.").text == (
        "A 4 mm nodule in the right apex."
    )


def test_a_statement_that_goes_on_stays_with_the_one_before() -> None:
    """`This may be ...` is never shown without what it speaks of."""
    draft = draft_coarse("There is a mass in the left kidney. This may represent an oncocytoma. " + NORMAL_CHEST)
    assert draft.text == "Mass in the left kidney. This may represent an oncocytoma."


def test_a_sign_beside_an_expected_finding_is_kept() -> None:
    """A catheter in the same statement doesn't hide what is said of the heart."""
    findings = "Heart size mildly enlarged, catheter tip near the cavoatrial junction. The lungs are clear."
    assert draft_coarse(findings).text == "Heart size mildly enlarged, catheter tip near the cavoatrial junction."


def test_what_is_expected_for_age_stays_out() -> None:
    """Degenerative change alone leaves a normal impression, and a grave one is kept."""
    assert draft_coarse(f"{NORMAL_CHEST} Mild degenerative changes of the spine.").text.startswith("No acute")
    assert "degenerative" in draft_coarse(f"{NORMAL_CHEST} Severe degenerative changes at T12.").text


def test_a_misplaced_tube_is_no_normal_study() -> None:
    """A device where it mustn't be is reported, one in its place isn't."""
    assert draft_coarse("Feeding tube in the right main bronchus. " + NORMAL_CHEST).text.startswith("Feeding tube")
    assert draft_coarse("Catheter tip in good position. " + NORMAL_CHEST).text.startswith("No acute")


@pytest.mark.parametrize("findings", ["", "...", "12 345", "[ ] ***", "Three views of the foot were obtained."])
def test_findings_that_state_nothing_give_no_draft(findings: str) -> None:
    """Where there is nothing to say, nothing is said."""
    assert draft_coarse(findings).text == ""


def test_a_long_report_gives_a_short_draft() -> None:
    """Many findings are capped by number and by length."""
    findings = " ".join(f"There is a {n} mm nodule in segment {n} of the liver." for n in range(1, 60))
    draft = draft_coarse(findings)
    assert len(draft.statements) <= 7
    assert len(draft.text.split()) <= 90


_SITES = st.sampled_from(["left kidney", "right lung", "liver", "L4-5 disc", "left breast"])
_NAMES = st.sampled_from(["mass", "cyst", "glorbosis", "fracture", "hemorrhage", "effusion", "stone"])
_FORMS = st.sampled_from(
    [
        "There is a {size} mm {name} in the {site}.",
        "No {name} in the {site}.",
        "The {site} is normal without {name}.",
        "{name} of the {site}, measuring 1.{size} cm, is noted.",
        "No {name}, but the {site} is enlarged.",
    ]
)
_STATEMENTS = st.builds(
    lambda form, name, site, size: form.format(name=name, site=site, size=size),
    _FORMS,
    _NAMES,
    _SITES,
    st.integers(2, 30),
)


@given(st.lists(_STATEMENTS, min_size=1, max_size=8), st.sampled_from(["", "Rule out fracture", "Fall", "? mass"]))
def test_the_draft_says_nothing_that_the_findings_dont(statements: list[str], indication: str) -> None:
    """Beside the normal phrase, every word, number and side is the findings' own, and the guard has no objection."""
    findings = " ".join(statements)
    draft = draft_coarse(findings, indication=indication)
    own = " ".join(s.text for s in draft.statements if not s.text.startswith("No acute"))
    assert unsupported_words(own, findings) == []
    kinds = {flag.kind for flag in check_draft(own, findings)}
    assert kinds.isdisjoint({"laterality", "negation", "measurement", "unsupported"})


@given(st.text(), st.text())
@settings(max_examples=200)
def test_any_text_gets_an_answer_and_always_the_same(findings: str, indication: str) -> None:
    """No text breaks the coarse stage, and the same text gives the same draft."""
    assert draft_coarse(findings, indication=indication) == draft_coarse(findings, indication=indication)


def test_a_finding_named_again_waits_for_one_that_is_not_named_yet() -> None:
    """Where there isn't room for all, another sentence on one finding doesn't push a lesser finding out."""
    masses = " ".join(f"There is a {n} mm nodule in the liver." for n in range(1, 9))
    draft = draft_coarse(f"{masses} There is cholelithiasis with many small dependent stones in the gallbladder.")
    assert "cholelithiasis" in draft.text.lower()
    assert draft.text.count("nodule") > 1


def test_a_complaint_is_answered_by_a_few_denials() -> None:
    """What was not asked by name is denied twice at most, in an impression that calls the rest normal."""
    findings = "No fracture. No pneumothorax. No effusion. No hemorrhage. No dislocation. The lungs are clear."
    answers = [s for s in draft_coarse(findings, indication="Fall, trauma").statements if s.kind is Kind.ANSWER]
    assert len(answers) == MAX_IMPLIED


@pytest.mark.parametrize(
    "findings",
    [
        "The kidneys enhance symmetrically.",
        "The conus terminates at L1.",
        "Conus medullaris terminates at the L2 level.",
    ],
)
def test_a_normal_statement_in_a_sign_s_words_is_normal(findings: str) -> None:
    """A word that can be a sign is none where it is part of saying that something is normal."""
    assert findings.rstrip(".") not in draft_coarse(findings).text


def test_weights_rank_the_tiers() -> None:
    """Critical outweighs major, major minor, minor what is expected for age."""
    assert WEIGHTS["critical"] > WEIGHTS["major"] > WEIGHTS["minor"] > WEIGHTS["expected"]
