"""What the guard makes of words that are easily taken for others: limits, positions, counts, persons, signs."""

from __future__ import annotations

import pytest

from radbridge.draft import FlagKind, Severity
from radbridge.entities import read_entities
from radbridge.guard import check_draft


def kinds(draft: str, findings: str, sex: str = "") -> set[str]:
    """The kinds of what is wrong beside an earlier study; an urgent or unsaid finding is no error here."""
    flags = check_draft(draft, findings, sex=sex, comparison="Film of yesterday")
    return {f.kind for f in flags} - {FlagKind.CRITICAL, FlagKind.OMITTED}


def severities(draft: str, findings: str) -> set[Severity]:
    """How grave what is said of measurements is."""
    return {f.severity for f in check_draft(draft, findings) if f.kind == FlagKind.MEASUREMENT}


def names(text: str) -> list[str]:
    """The concepts that are read."""
    return [e.concept.name for e in read_entities(text).entities]


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("Stenosis of over 50 %.", "Stenosis of 65 % of the left renal artery."),
        ("Stenosis of 50-69 %.", "Stenosis of 65 % of the left renal artery."),
        ("Nodule under 1 cm.", "Nodule of 8 mm."),
        ("Nodule < 1 cm.", "Nodule of 8 mm."),
        ("Nodules, none larger than 1 cm.", "Nodules of up to 8 mm."),
        ("No node over 15 mm. Mass.", "Mass of 60 mm."),
        ("Stenosis less than 50 %.", "Stenosis less than 50 %."),
    ],
)
def test_a_limit_that_a_told_value_lies_in_is_right(draft: str, findings: str) -> None:
    """`<`, `over` and a range of percent give no value; a denied limit contradicts nothing."""
    assert severities(draft, findings) == set()


@pytest.mark.parametrize(
    ("draft", "findings", "severity"),
    [
        ("Stenosis of over 70 %.", "Stenosis of 65 % of the left renal artery.", Severity.CRITICAL),
        ("Stenosis of 70-99 %.", "Stenosis of 65 % of the left renal artery.", Severity.CRITICAL),
        ("Stenosis of more than 50 %.", "Stenosis of less than 50 %.", Severity.CRITICAL),
        ("Nodule smaller than 30 mm.", "Nodule smaller than 3 mm, mass of 9 mm.", Severity.CRITICAL),
        ("Colitis over 20 mm.", "Colitis over 20 cm. Node of 30 mm.", Severity.CRITICAL),
        ("No stenosis (< 50 %).", "No stenosis.", Severity.WARNING),
    ],
)
def test_a_limit_that_nothing_told_lies_in_is_wrong(draft: str, findings: str, severity: Severity) -> None:
    """It is critical beside what it contradicts, and a warning where it may be the writer's own criterion."""
    assert severities(draft, findings) == {severity}


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("ETT well positioned.", "The tip of the ETT lies in the right main bronchus."),
        ("Lines and tubes in standard position.", "ETT above the carina. The NG tube is coiled in the pharynx."),
        ("Foley catheter in good position.", "The balloon of the Foley catheter is in the urethra."),
        ("NG tube tip in the left main bronchus.", "NG tube tip below the diaphragm."),
        ("Tracheostomy tube malpositioned.", "Tracheostomy tube in satisfactory position."),
        ("PICC tip at the cavoatrial junction.", "PICC tip in the left jugular vein."),
        ("Right chest tube in place.", "The right chest tube was removed."),
        ("Endotracheal tube in place.", "The patient has been extubated."),
        ("The Foley catheter has been removed.", "Foley catheter in the bladder."),
        ("Left ureteral stent.", "The ureteral stent was removed from the left ureter."),
    ],
)
def test_a_device_told_otherwise_is_flagged(draft: str, findings: str) -> None:
    """A wrong place is no good position, a good one no wrong place, and what was removed is gone."""
    assert FlagKind.DEVICE in kinds(draft, findings)


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("Lines and tubes in appropriate position.", "ETT above the carina. NG tube in the stomach. CVC in the SVC."),
        ("ETT in the right main bronchus, CVC in good position.", "ETT in the right main bronchus. CVC in the SVC."),
        ("NG tube in good position.", "NG tube passes the oesophagus and ends in the stomach."),
        ("Left PICC at the cavoatrial junction.", "Left PICC, its tip in the SVC."),
        ("Left chest tube in place.", "The right chest tube was removed. The left chest tube remains."),
        ("No pneumothorax after chest tube removal.", "Interval removal of the chest tube. No pneumothorax."),
        ("Chest tube, which should be removed.", "Chest tube. It can now be removed."),
    ],
)
def test_a_device_told_rightly_is_no_error(draft: str, findings: str) -> None:
    """Summing up, naming the wrong place oneself, another side's device and one that is still to go are right."""
    assert FlagKind.DEVICE not in kinds(draft, findings)


@pytest.mark.parametrize(
    ("draft", "sex", "flagged"),
    [
        ("Her nodule is small.", "M", True),
        ("Small nodule in this gentleman.", "F", True),
        ("Her nodule is small.", "F", False),
        ("Small nodule. Told to Dr. Roe, who confirmed that she will call back.", "M", False),
        ("Small nodule. HER2 and HER-2 positive.", "M", False),
        ("Small nodule. Lead at the bundle of His.", "F", False),
    ],
)
def test_a_pronoun_has_a_sex(draft: str, sex: str, flagged: bool) -> None:
    """`Her` is said of a woman, of a colleague who was named before it, or is no pronoun."""
    assert (FlagKind.SEX_OR_AGE in kinds(draft, "Small nodule.", sex)) is flagged


@pytest.mark.parametrize(
    ("draft", "findings", "flagged"),
    [
        ("Four bright foci.", "There are three bright foci: right frontal, left parietal and pontine.", True),
        ("Fracture of a single left rib.", "Fractures of the left 4th, 5th and 8th ribs.", True),
        ("Two metatarsals are broken.", "The second, third and fourth metatarsals are broken.", True),
        ("Three bright foci.", "There are three bright foci: right frontal, left parietal and pontine.", False),
        (
            "Fractures of five ribs.",
            "Fractures of the left 4th, 5th and 8th ribs and the right 9th and 10th ribs.",
            False,
        ),
        ("Fracture of the 5th rib.", "5th rib fracture.", False),
    ],
)
def test_what_is_counted_ends_at_a_side_or_a_colon(draft: str, findings: str, flagged: bool) -> None:
    """The noun isn't what follows; ordinals in a row count their noun, and one alone counts nothing."""
    assert (FlagKind.COUNT in kinds(draft, findings)) is flagged


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Impacted stone.", ["stone"]),
        ("Two standard deviations.", []),
        ("Deviation of the trachea.", ["tracheal_deviation"]),
        ("The pulmonary arteries are well opacified.", []),
        ("Opacified left hemithorax.", ["opacity"]),
        ("Stone in the cystic duct.", ["stone"]),
        ("Hydronephrosis and hydroureter.", ["hydronephrosis", "hydroureter"]),
        ("Nonocclusive thrombus in the portal vein.", ["luminal_thrombus"]),
    ],
)
def test_a_word_is_read_as_what_it_is(text: str, read: list[str]) -> None:
    """What looks like a finding and is none isn't read, and no term hides another finding."""
    assert names(text) == read


def test_a_neck_of_femur_is_no_neck() -> None:
    """A part of a bone is no region of the body."""
    [entity] = read_entities("Neck of femur fracture.").entities
    assert (entity.concept.name, {s.name for s in entity.place.sites}) == ("hip_fracture", {"femoral_neck"})


@pytest.mark.parametrize(
    ("draft", "findings", "flagged"),
    [
        ("Stanford type A dissection.", "Dissection of the descending aorta. The ascending aorta is normal.", True),
        ("Stanford type B dissection.", "Dissection of the ascending aorta.", True),
        ("Stanford type A dissection.", "Dissection of the ascending aorta.", False),
        ("Type B aortic dissection.", "Aortic dissection distal to the left subclavian artery.", False),
    ],
)
def test_a_stanford_type_is_a_place(draft: str, findings: str, flagged: bool) -> None:
    """Type A is the ascending aorta, type B what comes behind the left subclavian artery."""
    assert (FlagKind.SITE in kinds(draft, findings)) is flagged


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("Epidural hematoma.", "Biconvex collection over the left convexity."),
        ("Subdural hematoma.", "Crescentic extra-axial collection on the left."),
        ("Midline shift.", "4 mm rightward shift."),
        ("Portal hypertension.", "Gastric varices."),
        ("Bladder rupture.", "Extravasation of contrast from the dome of the bladder."),
        ("Left DVT.", "The left popliteal vein is noncompressible."),
        ("Abdominal abscess.", "Rim-enhancing collection with gas."),
        ("Lymphadenopathy.", "The axilla holds avid nodes."),
    ],
)
def test_a_plain_conclusion_is_supported(draft: str, findings: str) -> None:
    """A sign supports what it is the sign of."""
    assert FlagKind.UNSUPPORTED not in kinds(draft, findings)
