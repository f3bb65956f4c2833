"""What could be written for a case, and what the chooser sees of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.candidates import FEATURES, Case, Context, Report, SitePool, Source, describe, gather
from radbridge.entities.labels import read_labels

CLEAR = "The lungs are clear. No pleural effusion or pneumothorax. The heart is normal in size."
GRANULOMA = "Calcified granuloma in the right upper lobe. No pleural effusion. The heart is normal in size."
NORMAL = "No acute disease."
POOL = SitePool(
    [
        *(Report(findings=f"{CLEAR} Film {n}.", impression=NORMAL) for n in range(4)),
        Report(findings=CLEAR, impression="Left pneumothorax."),
        Report(findings=f"{GRANULOMA} Film 7.", impression="1. No acute disease. 2. Calcified granuloma."),
    ]
)


def texts(case: Case) -> dict[str, Source]:
    return {candidate.text: candidate.source for candidate in case.candidates}


def test_what_the_site_signed_for_reports_like_it_can_be_written() -> None:
    """A neighbour's impression is a candidate, told as retrieved; the findings' own text is one too."""
    found = texts(gather(POOL, CLEAR, Context()))
    assert found[NORMAL] is Source.RETRIEVED
    assert Source.COARSE in found.values()


def test_another_patients_finding_is_no_candidate() -> None:
    """A neighbour that says pneumothorax, for findings that deny one, gives nothing that may be chosen."""
    assert POOL.nearest(CLEAR, 1)[0].report.impression == "Left pneumothorax."
    assert not any("pneumothorax" in read_labels(text) for text in texts(gather(POOL, CLEAR, Context())))


@pytest.mark.parametrize(
    "impression",
    [
        "No acute disease. Findings were discussed with Dr. [NAME] by telephone on 5/26/2023.",
        "Normal chest. Results were called to the nurse at 14:20.",
        "No acute disease after coronary bypass in 2019.",
        "Normal chest. Interval removal of the chest tube.",
        "No acute disease. Recommend CT in 3 months.",
        "Stable chest, unchanged since the last study.",
        "No acute disease in this 54 year old woman.",
        "Normal chest [DATE].",
        "No rib fracture.",
        "Normal chest. No change.",
    ],
)
def test_what_is_true_of_another_patient_alone_is_no_candidate(impression: str) -> None:
    """Calls, dates, history, advice, change, placeholders and denials of another report never enter a draft."""
    pool = SitePool([Report(findings=CLEAR, impression=impression)])
    assert Source.RETRIEVED not in texts(gather(pool, CLEAR, Context())).values()


@pytest.mark.parametrize(
    ("findings", "indication", "impression"),
    [
        (CLEAR, "Pneumonia, lung cancer, cough.", "Pneumonia."),
        (CLEAR, "Pneumonia, lung cancer, cough.", "Lung cancer."),
        ("Small left pleural effusion.", "Large effusion?", "Large pleural effusion."),
        ("Old rib fracture. The lungs are clear.", "", "No rib fracture."),
    ],
)
def test_a_question_is_no_answer(findings: str, indication: str, impression: str) -> None:
    """What is only asked isn't found, and what is or was there isn't denied in another report's words."""
    pool = SitePool([Report(findings=findings, impression=impression)])
    assert impression not in texts(gather(pool, findings, Context(indication=indication)))


@pytest.mark.parametrize(("findings", "indication"), [(CLEAR, ""), ("The heart is normal.", "Pneumonia?")])
def test_what_is_clear_or_asked_may_be_denied(findings: str, indication: str) -> None:
    """Clear lungs have no pneumonia, and a question gets its answer."""
    pool = SitePool([Report(findings=findings, impression="No pneumonia.")])
    assert texts(gather(pool, findings, Context(indication=indication)))["No pneumonia."] is Source.RETRIEVED


def test_a_study_with_a_critical_finding_is_never_called_normal() -> None:
    """However usual a normal impression is, findings with a tension pneumothorax never get one."""
    case = gather(POOL, f"Large right tension pneumothorax. {CLEAR.split('. ', 1)[0]}.", Context())
    assert case.candidates
    assert all(candidate.read.labels for candidate in case.candidates if candidate.source is Source.RETRIEVED)


EFFUSION = "There is a small left pleural effusion. The right lung is clear. The heart is normal in size."
CARDIOMEGALY = "The heart is enlarged. The lungs are clear."


@pytest.mark.parametrize(
    ("findings", "impression"),
    [
        (EFFUSION, "No acute disease."),
        (EFFUSION, "Clear lungs. No acute cardiopulmonary abnormality."),
        (EFFUSION, "Clear lungs."),
        (EFFUSION, "Small left pleural effusion without acute disease."),
        (EFFUSION, "1. Small left pleural effusion. 2. No active disease."),
        (CARDIOMEGALY, "Normal chest."),
        (CARDIOMEGALY, "Negative study."),
    ],
)
def test_what_is_there_is_never_called_nothing(findings: str, impression: str) -> None:
    """However often a site says so, an effusion is not no acute disease, an enlarged heart not a normal chest."""
    pool = SitePool([Report(findings=findings, impression=impression) for _ in range(5)])
    found = texts(gather(pool, findings, Context()))
    assert found
    assert not any(impression in text for text in found)


@pytest.mark.parametrize(
    ("findings", "impression"),
    [
        (EFFUSION, "Small left pleural effusion. Otherwise normal chest."),
        (EFFUSION, "Small left pleural effusion. Right lung clear."),
        (CARDIOMEGALY, "Enlarged heart. No acute disease."),
        (CARDIOMEGALY, "Clear lungs."),
        (CLEAR, "Normal chest."),
    ],
)
def test_what_is_normal_beside_a_finding_may_be_told(findings: str, impression: str) -> None:
    """The rest may be normal, what the findings call clear may be called clear, and what lasts isn't acute."""
    pool = SitePool([Report(findings=findings, impression=impression)])
    assert texts(gather(pool, findings, Context()))[impression] is Source.RETRIEVED


def test_findings_stand_beside_the_sites_words_for_nothing_else() -> None:
    """What the findings state is put before and after the usual normal sentence, in a line and as a list."""
    found = texts(gather(POOL, GRANULOMA, Context()))
    together = [text for text in found if NORMAL in text and "right upper lobe" in text]
    assert any(text.startswith(NORMAL) for text in together)
    assert any(text.endswith(NORMAL) and not text.startswith("1.") for text in together)
    assert any(text.startswith("1. ") and "2. " in text for text in together)
    assert {found[text] for text in together} == {Source.RETRIEVED}


def test_one_finding_and_no_disease_make_one_sentence() -> None:
    """`Granuloma without acute disease.` is how many sites say it."""
    found = texts(gather(POOL, GRANULOMA, Context()))
    assert any(text.endswith(" without acute disease.") for text in found)


def test_a_report_that_is_left_out_leaves_no_trace() -> None:
    """A report's own impression, when nobody else signed such a one, is no candidate for it."""
    own = 5
    assert POOL.reports[own].impression in texts(gather(POOL, POOL.reports[own].findings, Context()))
    assert POOL.reports[own].impression not in texts(gather(POOL, POOL.reports[own].findings, Context(), without=own))
    assert POOL.count(NORMAL, without=0) == POOL.count(NORMAL) - 1
    assert POOL.count(NORMAL, without=own) == POOL.count(NORMAL)


@pytest.mark.parametrize("findings", ["", " ", "?", "No."])
def test_findings_that_state_nothing_are_no_error(findings: str) -> None:
    """Whatever the findings are, each candidate has its numbers."""
    case = gather(POOL, findings, Context())
    assert all(len(row) == len(FEATURES) for row in describe(case, POOL, {}))


@given(
    st.lists(st.sampled_from([*CLEAR.split(". "), *GRANULOMA.split(". "), "Large left effusion", "Fracture"])),
    st.sampled_from(["", "Chest pain", "Effusion?"]),
)
def test_no_candidate_names_what_the_case_does_not(sentences: list[str], indication: str) -> None:
    """No text names a finding that the findings don't, whatever was asked."""
    findings = ". ".join(sentences)
    for candidate in gather(POOL, findings, Context(indication=indication)).candidates:
        assert read_labels(candidate.text) <= read_labels(findings)


def test_features_tell_what_is_missed_and_what_is_foreign() -> None:
    """The numbers stand in the order of their names, and mean what those say."""
    case = gather(POOL, GRANULOMA, Context())
    rows = describe(case, POOL, {"granuloma": 0.5})
    row = dict(zip(FEATURES, rows[list(texts(case)).index(NORMAL)], strict=True))
    assert (row["is_plain"], row["named"], row["missed"], row["missed_most"]) == (1, 0, 0.5, 0.5)
    assert row["foreign"] == 1.0
    assert row["likeness"] > 0.3
    assert row["case_expected"] == 0.5
