"""What the draft may claim and what it may not leave out: absences, questions, signs, and narrower names."""

from __future__ import annotations

import pytest

from radbridge.draft import Severity
from radbridge.guard import check_draft


def kinds(draft: str, findings: str, indication: str = "") -> set[str]:
    """The kinds of what is said of a draft, without what only says that a case is urgent."""
    flags = check_draft(draft, findings, indication=indication, comparison="CT of last year")
    return {flag.kind for flag in flags} - {"critical"}


@pytest.mark.parametrize(
    ("draft", "findings", "expected"),
    [
        ("No flow in the right testis.", "Doppler: flow in the right testis is normal.", {"negation"}),
        ("Absent gallbladder.", "The gallbladder is thin walled.", {"negation"}),
        ("Absence of cardiac activity.", "Heart activity at 140 bpm.", {"negation"}),
        ("No flow in the right testis.", "Flow could not be demonstrated in the right testis.", set()),
        ("No flow in the right testis.", "Normal flow in the left testis. No demonstrable flow on the right.", set()),
        ("Absent gallbladder.", "The gallbladder is absent.", set()),
        ("No fetal heart motion.", "Gestational sac of 12 mm.", {"unsupported"}),
    ],
)
def test_what_is_missing_may_not_be_there(draft: str, findings: str, expected: set[str]) -> None:
    """A finding named by an absence is contradicted by what is there, and supported only by its denial."""
    assert kinds(draft, findings) - {"omitted"} == expected


def test_a_vein_that_isnt_compressible_is_thrombosed() -> None:
    """The denial in a finding's own name doesn't deny it."""
    assert kinds("No DVT.", "The femoral vein is not compressible.") >= {"negation"}


@pytest.mark.parametrize(
    ("indication", "flagged"),
    [
        ("?appendicitis", True),
        ("Pain, appendicitis?", True),
        ("? appendicitis", True),
        ("Rule out appendicitis.", True),
        ("Suspected appendicitis.", True),
        ("Appendicitis.", True),
        ("Nausea and appendicitis. Fever", True),
        ("Known appendicitis, drain in place.", False),
        ("History of appendicitis.", False),
    ],
)
def test_a_question_supports_nothing_definite(indication: str, *, flagged: bool) -> None:
    """Why the study was made is no finding of it; what the clinical information takes as known may be told."""
    assert ("unsupported" in kinds("Appendicitis.", "The bowel is normal.", indication)) is flagged


@pytest.mark.parametrize("draft", ["Known lung cancer. No new mass.", "History of lung cancer.", "Stable lung cancer."])
def test_what_the_draft_takes_as_known_may_stand_in_the_clinical_information(draft: str) -> None:
    """A draft that says what was there before claims nothing of this study's."""
    assert "unsupported" not in kinds(draft, "The lungs are clear.", "Lung cancer")


def test_a_question_may_be_answered() -> None:
    """A sign of what is asked about supports the answer, and so does doubt."""
    assert "unsupported" not in kinds("Pulmonary embolism.", "Filling defect in a segmental artery.", "?PE")
    assert kinds("Possible appendicitis.", "The bowel is normal.", "?appendicitis") == set()
    assert kinds("No appendicitis.", "The appendix is normal.", "?appendicitis") == set()


def test_a_denied_diagnosis_hides_no_critical_sign() -> None:
    """The sign is left out, and the denial contradicts it; not where the draft tells the sign itself."""
    findings = "Restricted diffusion in the left thalamus. Mild atrophy."
    assert kinds("No acute infarct. Mild atrophy.", findings) == {"negation", "omitted"}
    assert kinds("Acute infarct. Mild atrophy.", findings) == set()
    assert "negation" not in kinds("No bowel perforation. Free air after surgery.", "Free intraperitoneal air.")
    assert "negation" not in kinds("No infarct.", "Restricted diffusion in an abscess. No infarct.")


def test_restricted_diffusion_is_critical_in_the_head_alone() -> None:
    """In the prostate it may be left out."""
    draft, findings = "Prostate lesion of 9 mm.", "Prostate lesion of 9 mm with restricted diffusion of the prostate."
    assert kinds(draft, findings) == set()
    flags = check_draft("Mild atrophy.", "Mild atrophy. Restricted diffusion in the pons.")
    assert ("omitted", Severity.CRITICAL) in {(f.kind, f.severity) for f in flags}


def test_a_kin_at_its_place_is_not_left_out() -> None:
    """Another kind of the same, as grave and at the same site, speaks of it; one elsewhere or a lesser one doesn't."""
    findings = "Moderate ascites. Large retroperitoneal hematoma."
    assert "omitted" not in kinds("Moderate ascites. Active bleeding in the retroperitoneum.", findings)
    assert "omitted" in kinds("Moderate ascites.", findings)


def test_expected_findings_together_tell_something() -> None:
    """A draft of nothing but wear and tear needn't tell each lesser finding; one such alone is no impression."""
    findings = "Osteophytes and chondrocalcinosis of the knee. Small joint effusion."
    assert "omitted" not in kinds("Osteophytes. Chondrocalcinosis.", findings)
    assert "omitted" in kinds("Osteophytes.", findings)


@pytest.mark.parametrize(
    ("draft", "findings", "kind", "flagged"),
    [
        ("Bone metastasis.", "Sclerotic focus in the sacrum, perhaps a metastasis.", "certainty", True),
        ("Bone metastasis.", "Sclerotic focus in the sacrum: a metastasis.", "certainty", False),
        ("Right upper lobe pneumonia.", "Questionable opacity in the right upper lobe.", "certainty", True),
        ("Right upper lobe pneumonia.", "Opacity in the right upper lobe.", "certainty", False),
        ("New renal lesions.", "The lesions of both kidneys are unchanged.", "comparison", True),
        ("Unchanged renal lesions.", "The lesions of both kidneys are unchanged.", "comparison", False),
    ],
)
def test_a_narrower_name_is_held_to_the_wider_one(draft: str, findings: str, kind: str, *, flagged: bool) -> None:
    """What the findings call by a part of its name, or a sign of it, tells how sure and how new it is."""
    assert (kind in kinds(draft, findings)) is flagged
