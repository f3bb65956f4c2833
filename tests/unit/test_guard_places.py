"""Where things are: which of several the draft means, what is concluded from a side, and places that may differ."""

from __future__ import annotations

import pytest

from radbridge.draft import Severity
from radbridge.guard import check_draft


def kinds(draft: str, findings: str) -> set[str]:
    """The kinds of what is said of a draft."""
    return {flag.kind for flag in check_draft(draft, findings)}


BOTH_SIDES = [
    ("Severe left hydronephrosis.", "Severe right hydronephrosis.", "Severe right hydronephrosis. Mild left one."),
    ("14 mm right renal mass.", "14 mm left renal mass.", "Left renal mass of 14 mm. Right renal mass of 31 mm."),
    ("Three left thyroid nodules.", "Three right thyroid nodules.", "Three right thyroid nodules. Two left ones."),
    ("Left upper pole renal stone.", "Right upper pole renal stone.", "Upper pole stone of the right kidney."),
]
MORE = {
    "Severe right hydronephrosis. Mild left one.": "Severe right hydronephrosis. Mild left hydronephrosis.",
    "Three right thyroid nodules. Two left ones.": "Three right thyroid nodules. Two left thyroid nodules.",
    "Upper pole stone of the right kidney.": "Right upper pole renal stone. Left lower pole renal stone.",
}


@pytest.mark.parametrize(("wrong", "true", "findings"), [(w, t, MORE.get(f, f)) for w, t, f in BOTH_SIDES])
def test_a_swap_between_two_sides_is_flagged(wrong: str, true: str, findings: str) -> None:
    """Where both sides have it, the size, the degree, the number or the site says which one the draft means."""
    assert "laterality" in kinds(wrong, findings)
    assert "laterality" not in kinds(true, findings)


@pytest.mark.parametrize(
    "draft", ["Bilateral effusions.", "Left effusion.", "Moderate left effusion.", "Effusions, larger on the right."]
)
def test_what_tells_two_sides_not_apart_is_no_swap(draft: str) -> None:
    """Both sides, no degree at all and a degree that neither side has are held to what both are told of."""
    assert "laterality" not in kinds(draft, "Large right effusion. Small left effusion.")


@pytest.mark.parametrize(
    ("draft", "findings", "flagged"),
    [
        ("Right ovarian torsion.", "The right ovary is normal. The left ovary is enlarged with free fluid.", True),
        ("Left ovarian torsion.", "The right ovary is normal. The left ovary is enlarged with free fluid.", False),
        ("Right basilar pneumonia.", "Right effusion. The left lung base is hazy.", True),
        ("Left basilar pneumonia.", "Right effusion. The left lung base is hazy.", False),
        ("Left subdural hematoma.", "Crescentic density over the right convexity. 4 mm leftward midline shift.", True),
        (
            "Right subdural hematoma.",
            "Crescentic density over the right convexity. 4 mm leftward midline shift.",
            False,
        ),
    ],
)
def test_a_conclusion_is_on_the_side_of_what_it_is_drawn_from(draft: str, findings: str, *, flagged: bool) -> None:
    """What the findings don't name is where something is wrong, not where all is normal or where to it is pushed."""
    assert ("laterality" in kinds(draft, findings)) is flagged


def test_a_sign_that_is_not_there_has_no_side() -> None:
    """`No right heart strain` puts no embolism on the right."""
    assert "laterality" not in kinds("Left pulmonary embolism.", "Left filling defect. No right heart strain.")


@pytest.mark.parametrize(
    ("draft", "findings"),
    [
        ("No biliary dilatation.", "No intrahepatic dilatation."),
        ("Old PCA infarct.", "Restricted diffusion in the insula. Absent flow in the M1 segment. Old infarct."),
        ("Infraspinatus tear.", "INFRASPINATUS: Articular-surface tear. TERES MINOR: Normal."),
    ],
)
def test_a_place_that_may_differ_is_no_error(draft: str, findings: str) -> None:
    """What both texts deny, signs in another vessel, and the site that a term's own words hold contradict nothing."""
    assert "site" not in kinds(draft, findings)


def test_a_sign_in_another_lobe_is_another_place() -> None:
    """A lobe, a segment or a level is the sign's as well."""
    flags = check_draft("Left upper lobe pneumonia.", "Left lower lobe opacity.")
    assert ("site", Severity.CRITICAL) in {(f.kind, f.severity) for f in flags}


@pytest.mark.parametrize(
    ("draft", "findings", "flagged"),
    [
        ("Left lower lobe pneumonia.", "Consolidation of the left upper and lower lobes.", False),
        ("Right upper lobe pneumonia.", "Consolidation of the right upper and lower lobes.", False),
        ("Right middle lobe pneumonia.", "Consolidation of the right upper and lower lobes.", True),
        ("Fracture of the third metacarpal.", "Fractures of the second, third and fourth metacarpals.", False),
        ("Fracture of the fifth metacarpal.", "Fractures of the second, third and fourth metacarpals.", True),
        ("Lesion of liver segment 8.", "Lesions of liver segments 5 and 8.", False),
        ("Lesion of liver segment 6.", "Lesions of liver segments 5 and 8.", True),
    ],
)
def test_places_that_share_a_noun_are_all_told(draft: str, findings: str, *, flagged: bool) -> None:
    """`Upper and lower lobes` are two lobes, whichever of them has the noun."""
    assert ("site" in kinds(draft, findings)) is flagged


@pytest.mark.parametrize(
    ("draft", "flagged"), [("Sigmoid colon mass.", True), ("Cecal mass.", True), ("Descending colon mass.", False)]
)
def test_a_narrower_name_is_held_to_the_place_of_the_wider_one(draft: str, *, flagged: bool) -> None:
    """A colon mass is where the findings put the mass."""
    assert ("site" in kinds(draft, "A 4 cm mass of the descending colon.")) is flagged
