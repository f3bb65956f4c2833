"""The guard: what it flags, what it lets pass."""

from __future__ import annotations

from collections import Counter

import pytest

from radbridge.draft import FlagKind, Section, Severity
from radbridge.guard import check_draft
from radbridge.guard.check import MAX_FLAGS

FINDINGS = (
    "There is a 2.3 cm spiculated nodule in the right upper lobe. Small left pleural effusion. No pneumothorax. "
    "The liver measures 15 x 12 cm and is normal. The heart is enlarged."
)


def kinds(draft: str, findings: str = FINDINGS, sex: str = "", age: int | None = None) -> set[str]:
    """The kinds of what is wrong: `critical` only says that a case is urgent."""
    return {flag.kind for flag in check_draft(draft, findings, sex=sex, age=age)} - {FlagKind.CRITICAL}


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
        ("2.3 cm nodule in the right lower lobe.", "site"),
        ("Nodule in the right upper lobe. Endotracheal tube in place.", "device"),
        ("Nodule in the right upper lobe. MRN 900001.", "identifier"),
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
        "Right upper lobe nodule. No pneumothorax.",
        "Right upper lobe nodule. Liver 15 x 12 cm.",
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


@pytest.mark.parametrize(
    ("draft", "findings", "kind"),
    [
        ("Pneumonia.", "Left basilar opacity, possibly pneumonia.", "certainty"),
        ("Three nodules.", "Two nodules.", "count"),
        ("Solitary nodule.", "Multiple nodules.", "count"),
        ("Worsening effusion.", "The effusion has improved.", "comparison"),
        ("Unchanged effusion.", "The effusion has increased.", "comparison"),
        ("Stricture of the proximal esophagus.", "Stricture of the distal esophagus.", "site"),
        ("Compression fracture of L2.", "Compression fracture of L3.", "site"),
        ("Diverticulosis with diverticulitis.", "Diverticulosis without diverticulitis.", "negation"),
        ("No aortic dissection.", "Dissection of the descending aorta.", "negation"),
        ("No osteopenia.", "There is diffuse osteopenia.", "negation"),
        ("New nodule in the lingula.", "No new nodule.", "negation"),
        ("No mass in the right hepatic lobe.", "No renal mass. Mass in the right hepatic lobe.", "negation"),
        ("Osteopenia.", "Possible osteopenia.", "certainty"),
        ("Hepatic lesion of 9 mm.", "Hepatic lesion of 14 mm. A renal cyst of 9 mm.", "measurement"),
        ("Nasogastric tube in the stomach.", "Endotracheal tube above the carina.", "device"),
    ],
)
def test_an_error_beside_the_true_statement_raises_its_flag(draft: str, findings: str, kind: str) -> None:
    """What the findings say of the same thing is what the draft is held to."""
    assert kind in {flag.kind for flag in check_draft(draft, findings, comparison="CT of last year")}


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("Pneumonia.", "Left lower lobe consolidation."),
        ("Left ovarian cyst.", "A simple cyst arises from the left ovary."),
        ("Multiple nodules.", "Three nodules."),
        ("Lung nodule.", "Nodule in the lingula."),
        ("No effusion.", "No significant effusion."),
        ("No large effusion.", "Trace effusion."),
        ("Trace effusion.", "No large effusion."),
        ("Renal cyst.", "No growth of the renal cyst."),
        ("Old rib fracture.", "No acute fracture. Old rib fracture."),
        ("Effusion has decreased.", "Decreased effusion."),
        ("Possible pneumonia.", "Opacity, possibly pneumonia."),
        ("Left effusion.", "LEFT PLEURA: Small effusion. RIGHT PLEURA: Clear."),
        ("Discussed with Dr. Doe.", "Small effusion was discussed with Dr. Doe."),
    ],
)
def test_a_fair_conclusion_raises_nothing_grave(draft: str, findings: str) -> None:
    """Interpretation, summing up, wider sites, slight denials, old findings and headings are no contradictions."""
    flags = check_draft(draft, findings, comparison="CT of last year")
    assert [flag.kind for flag in flags if flag.kind not in {"critical", "omitted"}] == []


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("The marrow pattern is enlarging.", "The marrow pattern appears stable."),
        ("Worsened right effusion.", "The right effusion has resolved."),
        ("The effusion has resolved.", "The effusion has progressed."),
        ("New left effusion.", "Again seen is a left effusion."),
        ("The hematoma has decreased to 11 mm.", "The hematoma measures 11 mm, previously 8 mm."),
    ],
)
def test_a_course_against_the_most_alike_statement_is_flagged(draft: str, findings: str) -> None:
    """Words outside the lexicon, what has resolved, what was there before and an earlier size tell a course too."""
    assert "comparison" in {flag.kind for flag in check_draft(draft, findings, comparison="CT of last year")}


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("Persistent effusion.", "The effusion has decreased."),
        ("Unchanged nodule of 11 mm.", "Nodule of 11 mm, previously 10 mm. Unchanged."),
        ("Decreased hematoma.", "Hematoma of 8 mm, previously 11 mm."),
        (
            "Improved alignment of the distal radius fracture. Unchanged ulnar styloid fracture.",
            "Fracture of the distal radius with improved alignment. Ulnar styloid fracture is unchanged.",
        ),
    ],
)
def test_a_course_that_the_findings_tell_is_no_error(draft: str, findings: str) -> None:
    """Persistent may be smaller, sizes tell a course, and what the most alike statement says holds."""
    assert "comparison" not in {flag.kind for flag in check_draft(draft, findings, comparison="CT of last year")}


@pytest.mark.parametrize(
    ("draft", "findings", "flagged"),
    [
        ("Again seen is a nodule.", "Nodule. Degenerative changes.", True),
        ("No significant change in the nodule.", "Nodule.", True),
        ("Stable nodule.", "Redemonstration of a nodule, previously 4 mm.", False),
        ("Nodule; follow up at an appropriate interval to confirm stability.", "Nodule.", False),
        ("Increased density of the bone.", "Increased density of the bone.", False),
    ],
)
def test_only_what_compares_needs_a_prior(draft: str, findings: str, flagged: bool) -> None:
    """Phrases compare as words do; advice, qualities and findings that speak of a prior themselves are no error."""
    assert ("comparison" in kinds(draft, findings)) is flagged


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("Growth arrest lines in the distal humerus.", "There are growth arrest lines in the distal femur."),
        ("Foreign body at T6.", "A radiopaque disc at T3."),
        ("Osseous metastases at T7 and T11 of the thoracic spine.", "Uptake in the thoracic spine at T7 and T10."),
        ("Stable left renal nodule of 15 mm.", "A 15 mm left adrenal nodule is stable. Renal cysts."),
        ("Stenosis of 40 % of the distal coronary artery.", "Stenosis of 40 % in its proximal portion."),
    ],
)
def test_a_site_against_the_most_alike_statement_is_flagged(draft: str, findings: str) -> None:
    """A place of what the lexicon doesn't name is held to the statement with the same words; a level to all levels."""
    assert "site" in kinds(draft, findings)


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("No rotator cuff tear.", "The superior labrum is intact without a tear."),
        ("Peripheral vascular disease.", "Atherosclerotic calcifications of the thoracic aorta."),
        ("Bilateral lower lobe nodules.", "Left lower lobe nodule. Right lower lobe nodule."),
        ("Foraminal stenosis at C4-C5.", "At C4-C5 there is foraminal stenosis. At C6-C7 mild foraminal stenosis."),
    ],
)
def test_a_site_that_contradicts_nothing_is_no_error(draft: str, findings: str) -> None:
    """What is denied has no place; tissues and wider sites contradict no narrower one; a place may come first."""
    assert "site" not in kinds(draft, findings)


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("Moderate right hydronephrosis.", "Left hydronephrosis. No right hydronephrosis."),
        ("Left lower lobe opacity.", "Right lower lobe opacity. Left upper lobe nodule."),
        ("Mild dextroscoliosis.", "Mild levoscoliosis."),
    ],
)
def test_the_other_side_is_flagged_though_it_is_named(draft: str, findings: str) -> None:
    """A side that is only denied, or that holds the twin of the named site, is the wrong side."""
    assert "laterality" in kinds(draft, findings)


@pytest.mark.parametrize(
    ("draft", "findings", "flagged"),
    [
        ("Four foci in segment VI.", "Two hypodense foci in segment VI.", True),
        ("Single lymph nodes measuring 6 mm.", "Several mesenteric lymph nodes.", True),
        ("Triplet gestation.", "Twin gestation.", True),
        ("Several foci.", "Three hypodense foci.", False),
        ("Decreased to 5 mm.", "5 mm, previously 8 mm.", False),
        ("Grade 2 chondromalacia.", "Grade 3 chondromalacia.", False),
    ],
)
def test_a_number_is_held_to_the_same_noun(draft: str, findings: str, flagged: bool) -> None:
    """What the lexicon doesn't name is counted by its noun; sizes and names are no counts."""
    flags = check_draft(draft, findings, comparison="CT of last year")
    assert ("count" in {flag.kind for flag in flags}) is flagged


def test_a_finding_in_its_parts_is_supported() -> None:
    """`Cardiomegaly` needs no more than a large heart in one statement, and that statement must affirm it."""
    assert "unsupported" not in kinds("Cardiomegaly.", "The heart again remains slightly large.")
    assert kinds("Cardiomegaly.", "The heart is not at all large.") & {"unsupported", "negation"}
    assert "unsupported" in kinds("Cardiomegaly.", "Heart and mediastinum. Large hernia.")


def test_a_flag_points_at_both_texts() -> None:
    """The spans of a contradiction are what the draft says and what the findings say."""
    draft, findings = "Small right effusion.", "There is a small left effusion."
    [flag] = [f for f in check_draft(draft, findings) if f.kind == "laterality"]
    texts: dict[str, str] = {Section.DRAFT: draft, Section.FINDINGS: findings}
    assert [texts[s.section][s.start : s.end] for s in flag.spans] == ["right", "effusion", "effusion"]


def test_one_wrong_side_is_told_once() -> None:
    """The wrong side of a lobe is one error, and each place is named once."""
    [flag] = check_draft("Nodule in the left upper lobe.", "Nodule in the right upper lobe.")
    assert flag.kind == FlagKind.LATERALITY
    assert len(set(flag.spans)) == len(flag.spans)


def test_a_critical_finding_is_told_of_without_being_an_error() -> None:
    """What has to be told of at once is noted with least weight, from either text; denied or old, it isn't."""
    for draft, findings in (("Right pneumothorax.", "Right pneumothorax."), ("Nodule.", "Nodule. Pneumothorax.")):
        flags = [f for f in check_draft(draft, findings) if f.kind == "critical"]
        assert [f.severity for f in flags] == [Severity.INFO]
    for said in ("No pneumothorax.", "History of pneumothorax."):
        assert "critical" not in {f.kind for f in check_draft(said, said)}


def test_flags_of_one_kind_are_few() -> None:
    """A draft of nothing but errors is told of ten at most of each kind."""
    flags = check_draft("left nodule. " * 200, "Right nodule.")
    assert max(Counter(f.kind for f in flags).values()) <= MAX_FLAGS


def test_an_unknown_sex_contradicts_nothing() -> None:
    """Without a sex or with `O`, no organ is wrong."""
    assert kinds("Enlarged prostate. Normal uterus.", "Enlarged prostate. Normal uterus.", "O") == set()


@pytest.mark.parametrize(
    "finding", ["Large right pneumothorax.", "Acute pulmonary emboli.", "Free intraperitoneal air."]
)
def test_a_critical_finding_left_out_is_flagged(finding: str) -> None:
    """A draft that passes over a critical finding is flagged as critical; an old one may be left out."""
    flags = check_draft("Small left effusion.", f"{finding} Small left effusion.")
    wrong = [(flag.kind, flag.severity) for flag in flags if flag.kind != FlagKind.CRITICAL]
    assert wrong == [("omitted", Severity.CRITICAL)]
    assert kinds("Small left effusion.", f"Prior: {finding} Small left effusion.") == set()


@pytest.mark.parametrize(
    ("findings", "flagged"),
    [
        ("Moderate cardiomegaly. Spiral fracture of the left femur.", True),
        ("Moderate cardiomegaly. Mass in the pancreatic head.", True),
        ("Moderate cardiomegaly. Possible fracture of the left femur.", False),
        ("Moderate cardiomegaly. Old fracture of the left femur.", False),
        ("Moderate cardiomegaly. Bibasilar atelectasis.", False),
    ],
)
def test_a_mass_or_a_fracture_left_out_is_flagged(findings: str, flagged: bool) -> None:
    """A definite mass or fracture may not be left out, whatever else the draft tells; a lesser finding may."""
    assert ("omitted" in kinds("Moderate cardiomegaly.", findings)) is flagged


@pytest.mark.parametrize("prior", ["", "None.", "None available"])
def test_a_comparison_needs_a_prior(prior: str) -> None:
    """`Unchanged` is flagged where no prior is named, and isn't where one is."""
    assert [f.kind for f in check_draft("Unchanged nodule.", "Nodule.", comparison=prior)] == ["comparison"]
    assert check_draft("Unchanged nodule.", "Nodule.", comparison="CT of last year") == ()


def test_a_flag_hides_the_report_from_logs() -> None:
    """The repr of a flag shows no report text."""
    flags = check_draft("Pneumothorax.", "No pneumothorax.")
    assert flags
    assert "pneumothorax" not in repr(flags)
