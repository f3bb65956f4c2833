"""The dictated text beside what machines measured and which side was examined."""

from __future__ import annotations

import pytest

from radbridge.contradictions import PAIRED
from radbridge.draft import Flag, FlagKind, Section, Severity
from radbridge.guard import Guard
from radbridge.guard.measured import MAX_READ, REGIONS
from radbridge.imaging import Measured

SOURCE = "AI: Acme LungScan"


def nodule(
    value: str = "6", site: str = "right upper lobe", unit: str = "mm", finding: str = "nodule", side: str = ""
) -> Measured:
    return Measured(source=SOURCE, finding=finding, site=site, value=value, unit=unit, laterality=side)


def held(findings: str, *measured: Measured, side: str = "", part: str = "") -> tuple[Flag, ...]:
    return Guard(findings).check_machines(measured, side=side, body_part=part)


@pytest.mark.parametrize(
    "findings",
    [
        "16 mm nodule in the right upper lobe.",
        "There is a 1.6 cm pulmonary nodule in the RUL.",
        "Right upper lobe: 16 x 14 mm nodule.",
        "A nodule measures 16 mm.",
        "4 mm nodule in the left lower lobe. 16 mm nodule in the right upper lobe.",
    ],
)
def test_another_size_is_flagged(findings: str) -> None:
    """A dictated 16 mm against a machine's 6 mm of the same thing in the same place travels as a warning."""
    [flag] = held(findings, nodule())
    assert (flag.kind, flag.severity) == (FlagKind.MEASUREMENT, Severity.WARNING)
    assert "is none of the measured ones (6 mm; AI: Acme LungScan)" in flag.message
    assert flag.spans
    assert {span.section for span in flag.spans} == {Section.FINDINGS}
    assert "16" in findings[flag.spans[0].start : flag.spans[0].end] or "1.6" in findings


@pytest.mark.parametrize(
    ("findings", "measured"),
    [
        ("6 mm nodule in the right upper lobe.", [nodule()]),
        ("8 mm nodule in the right upper lobe.", [nodule()]),
        ("52 mm nodule in the right upper lobe.", [nodule("45")]),
        ("0.6 cm nodule in the right upper lobe.", [nodule()]),
        ("16 mm nodule in the right upper lobe.", [nodule("1.6", unit="cm")]),
        ("16 mm nodule in the right upper lobe.", [nodule(), nodule("15")]),
        ("16 x 6 mm nodule in the right upper lobe.", [nodule()]),
        ("16 mm nodule in the right lower lobe.", [nodule()]),
        ("16 mm liver cyst.", [nodule()]),
        ("Nodule in the right upper lobe.", [nodule()]),
        ("No 16 mm nodule in the right upper lobe.", [nodule()]),
        ("16 mm nodule in the right upper lobe.", [nodule("6.0e", unit="mm")]),
        ("16 mm nodule in the right upper lobe.", [nodule("120", unit="mm3")]),
        ("16 mm nodule in the right upper lobe.", [nodule(finding="zorble")]),
        ("16 mm nodule in the right upper lobe.", []),
        ("", [nodule()]),
    ],
)
def test_what_may_well_be_the_same_is_not_flagged(findings: str, measured: list[Measured]) -> None:
    """Two readers differ a little; another thing, another place, and what can't be compared say nothing."""
    assert held(findings, *measured) == ()


@pytest.mark.parametrize(
    ("findings", "measured", "flagged"),
    [
        ("Nodule in the left upper lobe.", nodule(), True),
        ("Small left pneumothorax.", Measured(source=SOURCE, finding="pneumothorax", laterality="R"), True),
        ("Small right pneumothorax.", Measured(source=SOURCE, finding="pneumothorax", laterality="R"), False),
        ("Bilateral pneumothoraces.", Measured(source=SOURCE, finding="pneumothorax", laterality="R"), False),
        ("No left pneumothorax.", Measured(source=SOURCE, finding="pneumothorax", laterality="R"), False),
        ("Small left pneumothorax.", Measured(source=SOURCE, finding="pneumothorax", laterality="B"), False),
        ("Pneumothorax.", Measured(source=SOURCE, finding="pneumothorax", laterality="R"), False),
    ],
)
def test_another_side_is_flagged(findings: str, measured: Measured, flagged: bool) -> None:
    """A thing that machines find on one side only and that was dictated on the other one only travels with a flag."""
    found = held(findings, measured)
    assert [f.kind for f in found] == ([FlagKind.LATERALITY] if flagged else [])
    assert not flagged or found[0].message == "dictated on the left, found on the right (AI: Acme LungScan)"


def test_the_wrong_side_hides_no_wrong_size() -> None:
    """A lesion that was dictated on the wrong side is compared in size all the same."""
    found = held("16 mm nodule in the left upper lobe.", nodule())
    assert [f.kind for f in found] == [FlagKind.LATERALITY, FlagKind.MEASUREMENT]


@pytest.mark.parametrize(
    ("findings", "side", "part", "flagged"),
    [
        ("Large effusion of the left knee. Tear of the medial meniscus.", "R", "KNEE", True),
        ("Left knee: large effusion.", "R", "KNEE", True),
        ("Displaced fracture of the left distal radius.", "R", "WRIST", True),
        ("12 mm mass in the left breast.", "R", "BREAST", True),
        ("Large effusion of the right knee.", "R", "KNEE", False),
        ("Large effusion of the right knee. The left knee is normal.", "R", "KNEE", False),
        ("Large effusion. Tear of the medial meniscus.", "R", "KNEE", False),
        ("Degenerative left sacroiliac joint.", "R", "HIP", False),
        ("Left pleural effusion.", "R", "CHEST", False),
        ("Large effusion of the left knee.", "", "KNEE", False),
        ("Large effusion of the left knee.", "R", "", False),
        ("Large effusion of the left knee.", "R", "KNEE, CHEST", False),
    ],
)
def test_the_side_that_was_not_examined(findings: str, side: str, part: str, flagged: bool) -> None:
    """Findings that tell of the other side only than the one that was examined travel with a flag."""
    found = held(findings, side=side, part=part)
    assert [(f.kind, f.severity) for f in found] == ([(FlagKind.LATERALITY, Severity.WARNING)] if flagged else [])
    assert not flagged or findings[found[0].spans[0].start : found[0].spans[0].end].lower() in ("left", "large")


def test_machines_excuse_no_draft() -> None:
    """What only a machine says stays unsupported in a draft: the guard's sources don't change."""
    guard = Guard("Clear lungs.")
    before = guard.check("6 mm nodule in the right upper lobe.")
    guard.check_machines([nodule()], side="R", body_part="CHEST")
    assert {FlagKind.UNSUPPORTED, FlagKind.MEASUREMENT} & {f.kind for f in before}
    assert guard.check("6 mm nodule in the right upper lobe.") == before


def test_many_lines_are_not_all_read() -> None:
    """Only the last lines of a machine that writes without end are read."""
    lines = [nodule("16"), *[nodule("6")] * MAX_READ]
    assert held("16 mm nodule in the right upper lobe.", *lines)
    assert not held("16 mm nodule in the right upper lobe.", *lines[1:], nodule("16"))
    textures = [Measured(source=SOURCE, kind="entropy", value=str(n)) for n in range(MAX_READ)]
    assert held("16 mm nodule in the right upper lobe.", nodule("6"), *textures)


def test_the_regions_are_those_of_paired_parts() -> None:
    """Every body part that has two sides has a region whose sides are told."""
    assert set(REGIONS) == PAIRED
