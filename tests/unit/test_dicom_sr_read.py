"""What machines measured, out of Structured Reports of many makers, and of none."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sr import _snomed_dict
from pydicom.sr.coding import Code
from pydicom.uid import (
    PatientRadiationDoseSRStorage,
    PerformedImagingAgentAdministrationSRStorage,
    ProcedureLogStorage,
)

from radbridge.events import MeasurementsArrived, StudyObserved
from radbridge.imaging import MAX_LINE_CHARS, MAX_MEASURED
from radbridge_adapters.dicom.incoming.sr_codes import simplify
from radbridge_adapters.dicom.incoming.sr_tree import MAX_DEPTH, MAX_NODES
from tests.support import sr as ours
from tests.support import sr_specimens as specimens
from tests.support.dicom_scu import STUDY
from tests.support.sr_specimens import (
    DIAMETER,
    FINDING,
    FINDINGS,
    GROUP,
    LATERALITY,
    LEFT,
    LUNG,
    NODULE,
    OBSERVER,
    OLD_LATERALITY,
    OLD_SITE,
    PERSON,
    RIGHT,
    SITE,
    TRACKING,
    TRANSLATE,
    code,
    coded,
    comprehensive,
    document,
    lines,
    node,
    num,
    read,
    text,
    write,
)


def test_ai_report_by_highdicom() -> None:
    """A TID 1500 report that another library wrote gives a line, with its source, for each number and evaluation."""
    observed, arrived = TRANSLATE(write(specimens.ai_report(mm=6)))
    assert isinstance(observed, StudyObserved)
    assert isinstance(arrived, MeasurementsArrived)
    assert [m.line for m in arrived.measured] == [
        "[AI: Acme LungScan] 6 mm nodule, right upper lobe",
        "[AI: Acme LungScan] nodule, right upper lobe, volume 113.1 mm3",
        "[AI: Acme LungScan] nodule, right upper lobe, Lung-RADS assessment 4A",
    ]
    assert {m.tracking for m in arrived.measured} == {"Nodule 1"}
    assert {m.laterality for m in arrived.measured} == {"R"}
    assert {m.sop_uid for m in arrived.measured} == {arrived.sop_uid}
    assert arrived.key.accession == "A1"


@pytest.mark.parametrize("form", ["planar", "volumetric", "no region"])
def test_every_form_of_a_group(form: str) -> None:
    """A measurement group says the same whether its region is planar, volumetric or not told (TID 1410, 1411, 1501)."""
    assert lines(specimens.ai_report(form=form))[0] == "[AI: Acme LungScan] 6 mm nodule, right upper lobe"


def test_no_algorithm() -> None:
    """A measurement report whose only observer is a device is an AI tool's, under the name of the device."""
    assert lines(specimens.ai_report(algorithm=""))[0].startswith("[AI: Acme LungScan station] 6 mm nodule")


def test_side_beside_the_site() -> None:
    """A site without a side, and its side as a modifier, are one place."""
    report = specimens.ai_report(
        site=Code("45653009", "SCT", "Upper lobe of lung"), laterality=Code("7771000", "SCT", "Left")
    )
    assert lines(report)[0] == "[AI: Acme LungScan] 6 mm nodule, left upper lobe"


def test_later_version_replaces() -> None:
    """A report that names its predecessors replaces them."""
    earlier = specimens.ai_report(uid="1.2.3.1")
    later = specimens.ai_report(uid="1.2.3.2", mm=7, predecessors=[earlier])
    assert read(later).replaces == ("1.2.3.1",)


def test_old_codes_and_centimetres() -> None:
    """SNOMED-RT codes say the same as SNOMED CT's, whatever the language of their meanings; lengths come in mm."""
    report = comprehensive(
        node(
            "CONTAINER",
            GROUP,
            text(TRACKING, "L1", relation="HAS OBS CONTEXT"),
            code(FINDING, ("M-03010", "SRT", "Rundherd")),
            code(
                OLD_SITE,
                ("T-28000", "SRT", "Lunge"),
                code(OLD_LATERALITY, ("G-A100", "SRT", "Rechts"), relation="HAS CONCEPT MOD"),
                relation="HAS CONCEPT MOD",
            ),
            num(("G-A185", "SRT", "Lange Achse"), "1.6", "cm"),
            num(("G-A186", "SRT", "Kurze Achse"), "0.9", "cm"),
        )
    )
    first, second = read(report).measured
    assert first.line == "[Acme CT 3000] 16 mm nodule, right lung"
    assert (first.kind, second.kind, second.value, second.tracking) == ("long axis", "short axis", "9", "L1")


def test_numbers_without_a_group() -> None:
    """A number's finding and site are those beside it, or above it, where no measurement group holds them."""
    report = comprehensive(
        node(
            "CONTAINER",
            FINDINGS,
            code(FINDING, NODULE),
            code(SITE, LUNG),
            code(LATERALITY, LEFT),
            num(DIAMETER, "5", "mm"),
            node("CONTAINER", ("1", "99ACME", "Details"), num(DIAMETER, "4", "mm")),
        )
    )
    assert lines(report) == ["[Acme CT 3000] 5 mm nodule, left lung", "[Acme CT 3000] 4 mm nodule, left lung"]


def test_several_findings_side_by_side() -> None:
    """Where it isn't said whose a number is, it is nobody's: no finding is guessed."""
    report = comprehensive(
        node(
            "CONTAINER",
            ("1", "99ACME", "Results"),
            code(FINDING, NODULE),
            code(FINDING, ("4147007", "SCT", "Mass")),
            num(DIAMETER, "5", "mm"),
        )
    )
    assert "[Acme CT 3000] diameter 5 mm" in lines(report)
    assert not [line for line in lines(report) if "5 mm nodule" in line or "5 mm mass" in line]


def test_computer_aided_detection() -> None:
    """A CAD report's findings carry their properties below them."""
    report = document(
        specimens.MAMMOGRAPHY_CAD,
        ("111036", "DCM", "Mammography CAD Report"),
        code(
            ("111059", "DCM", "Single Image Finding"),
            ("129788000", "SCT", "Mammographic breast mass"),
            code(SITE, ("80248007", "SCT", "Left breast"), relation="HAS PROPERTIES"),
            num(DIAMETER, "12", "mm", relation="HAS PROPERTIES"),
            num(("111012", "DCM", "Certainty of Finding"), "81", "%", relation="HAS PROPERTIES"),
            relation="INFERRED FROM",
        ),
    )
    assert lines(report) == ["[AI: Acme CT 3000] 12 mm mammographic breast mass, left breast"]


def test_ultrasound_of_a_vessel() -> None:
    """A modality's own numbers are said by their kind, at their site, without `AI`."""
    carotid = code(
        SITE, ("32062004", "SCT", "Common carotid artery"), code(LATERALITY, RIGHT), relation="HAS CONCEPT MOD"
    )
    velocity = num(("11726-7", "LN", "Peak Systolic Velocity"), "0.84", "m/s")
    report = comprehensive(node("CONTAINER", FINDINGS, carotid, velocity))
    assert lines(report) == ["[Acme CT 3000] right common carotid artery, peak systolic velocity 0.84 m/s"]


def test_evaluations_of_presence() -> None:
    """What is absent is denied, and gives no place to hold dictated text to."""
    absent, present = ("272519000", "SCT", "Absent"), ("52101004", "SCT", "Present")
    report = comprehensive(
        node(
            "CONTAINER",
            GROUP,
            code(FINDING, ("36118008", "SCT", "Pneumothorax")),
            code(SITE, LUNG, code(LATERALITY, RIGHT)),
            code(("705057003", "SCT", "Presence"), absent),
        ),
        code(("60046008", "SCT", "Pleural effusion"), present),
        code(("50960005", "SCT", "Hemorrhage"), absent),
    )
    assert lines(report) == [
        "[Acme CT 3000] no pneumothorax, right lung",
        "[Acme CT 3000] pleural effusion",
        "[Acme CT 3000] no hemorrhage",
    ]
    assert not any(m.is_comparable for m in read(report).measured)


def test_finding_alone() -> None:
    """A finding that nobody measured is a line of its own."""
    report = comprehensive(node("CONTAINER", GROUP, code(FINDING, NODULE), code(SITE, LUNG)))
    assert lines(report) == ["[Acme CT 3000] nodule, lung"]


def test_image_library_is_no_finding() -> None:
    """Numbers of the images themselves are nobody's measurement."""
    library = node(
        "CONTAINER", ("111028", "DCM", "Image Library"), num(("112225", "DCM", "CT Slice Thickness"), "1", "mm")
    )
    assert lines(comprehensive(library)) == []


def test_numbers_of_numbers() -> None:
    """What a number was inferred from, and the normal range below it, are no measurements."""
    report = comprehensive(
        num(DIAMETER, "6", "mm", num(("371933006", "SCT", "Normal Range Upper Limit"), "4", "mm")),
        num(DIAMETER, "7", "mm", relation="INFERRED FROM"),
    )
    assert lines(report) == ["[Acme CT 3000] diameter 6 mm"]


def test_dose() -> None:
    """A dose report gives its totals, and of the CTDIvol of its series the largest."""
    series = [
        node("CONTAINER", ("113829", "DCM", "CT Dose"), num(("113830", "DCM", "Mean CTDIvol"), value, "mGy"))
        for value in ("9.81", "12.5")
    ]
    report = document(
        specimens.DOSE,
        ("113701", "DCM", "X-Ray Radiation Dose Report"),
        node(
            "CONTAINER",
            ("113811", "DCM", "CT Accumulated Dose Data"),
            num(("113813", "DCM", "CT Dose Length Product Total"), "512.0", "mGy.cm"),
        ),
        *series,
    )
    assert lines(report) == ["[dose] DLP 512 mGy.cm", "[dose] CTDIvol 12.5 mGy"]


@pytest.mark.parametrize(
    "sop_class", [ProcedureLogStorage, PatientRadiationDoseSRStorage, PerformedImagingAgentAdministrationSRStorage]
)
def test_logs_are_no_findings(sop_class: str) -> None:
    """What was done to a patient is nothing that was found."""
    given = num(("118565006", "SCT", "Volume"), "80", "ml")
    assert lines(document(sop_class, ("121145", "DCM", "Description of procedure"), given)) == []


@pytest.mark.parametrize("sop_class", [specimens.BASIC_TEXT, specimens.ENHANCED, specimens.COMPREHENSIVE_3D])
def test_text_findings(sop_class: str) -> None:
    """Findings in sentences are lines as they are, of any class of text report."""
    report = document(
        sop_class,
        ("18748-4", "LN", "Diagnostic Imaging Report"),
        node("CONTAINER", FINDINGS, text(FINDING, "Small nodule in the right lung.\nNo effusion.")),
        text(("121106", "DCM", "Comment"), "Checked twice."),
    )
    assert lines(report) == ["[Acme CT 3000] Small nodule in the right lung.", "[Acme CT 3000] No effusion."]
    assert not any(m.is_comparable for m in read(report).measured)


def test_a_persons_text_is_no_machines() -> None:
    """A report that a person wrote or verified tells of its study, and nothing that a machine measured."""
    body = node("CONTAINER", FINDINGS, text(FINDING, "Nodule."))
    title = ("18748-4", "LN", "Diagnostic Imaging Report")
    written = document(specimens.BASIC_TEXT, title, code(OBSERVER, PERSON, relation="HAS OBS CONTEXT"), body)
    verified = document(specimens.BASIC_TEXT, title, body)
    verified.VerificationFlag = "VERIFIED"
    for report in (written, verified):
        (event,) = TRANSLATE(write(report))
        assert isinstance(event, StudyObserved)


def test_our_own_drafts_come_back() -> None:
    """A draft, or its withdrawal, that a PACS sends back to us tells us nothing: no loop."""
    for shape in ours.SHAPES.values():
        assert TRANSLATE(ours.write(shape)) == []
        assert TRANSLATE(ours.write_note(shape)) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"Manufacturer": "Acme", "ManufacturerModelName": "Acme AI Chest"}, "AI: Acme AI Chest"),
        ({"Manufacturer": "Acme", "ManufacturerModelName": "SAILOR"}, "Acme SAILOR"),
        ({"Manufacturer": "", "ManufacturerModelName": ""}, "imaging device"),
    ],
)
def test_source(more: dict[str, str], expected: str) -> None:
    """The source is the equipment's maker and model, and AI only where something says so."""
    report = comprehensive(num(DIAMETER, "6", "mm"))
    for keyword, value in more.items():
        setattr(report, keyword, value)
    assert read(report).measured[0].source == expected


def test_contributing_equipment_says_ai() -> None:
    """An AI tool behind a PACS that sends for it is known by the contributing equipment."""
    report = comprehensive(num(DIAMETER, "6", "mm"))
    tool = Dataset()
    tool.Manufacturer, tool.ContributionDescription = "Acme", "Deep learning detection"
    tool.PurposeOfReferenceCodeSequence = [coded("109102", "DCM", "Processing Equipment")]
    report.ContributingEquipmentSequence = [tool]
    assert read(report).measured[0].source == "AI: Acme CT 3000"


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("6.0", "mm", ("6", "mm")),
        ("5.999999999", "mm", ("6", "mm")),
        ("1.65", "cm", ("16.5", "mm")),
        ("1.2E+02", "mm2", ("120", "mm2")),
        ("0.0004", "ml", ("0.0004", "ml")),
        ("-980", "[hnsf'U]", ("-980", "HU")),
        ("3", "{nodules}", ("3", "")),
        ("4", "mL", ("4", "ml")),
    ],
)
def test_amounts(value: str, unit: str, expected: tuple[str, str]) -> None:
    """Numbers are written as a report has them, lengths in mm."""
    (line,) = read(comprehensive(num(DIAMETER, value, unit))).measured
    assert (line.value, line.unit) == expected


@pytest.mark.parametrize("value", ["", "NaN", "Infinity", "1e300", "six", "6 mm", "1\\2\x00"])
def test_no_number(value: str) -> None:
    """What is no number is skipped, and what stands beside it is read."""
    report = comprehensive(node("CONTAINER", GROUP, num(DIAMETER, "5", "mm")))
    broken = num(DIAMETER, "0", "mm")
    broken.MeasuredValueSequence[0].NumericValue = "0"
    item = broken.MeasuredValueSequence[0]
    del item.NumericValue
    item.add_new(0x0040A30A, "LO", value)
    report.ContentSequence.append(broken)
    assert "diameter 5 mm" in lines(report)[0]


def test_study_not_named() -> None:
    """A report without an accession names its study: others may know whose it is."""
    events = TRANSLATE(write(specimens.ai_report(accession="")))
    assert [(event.key.accession, event.study.uid) for event in events] == [("", STUDY)] * 2  # type: ignore[union-attr]


def test_simplify() -> None:
    """A code's meaning is said as a radiologist would."""
    assert simplify("Structure of upper lobe of right lung (body structure)") == "right upper lobe"
    assert simplify("Knee region structure (body structure)") == "knee region"
    assert simplify("Lung-RADS Assessment") == "Lung-RADS assessment"
    assert simplify("MR Signal") == "MR signal"


def test_documented() -> None:
    """The lines that the conformance statement shows are lines that are read here; so are its limits."""
    statement = (Path(__file__).parents[2] / "docs/reference/dicom.md").read_text(encoding="utf-8")
    shown = statement.split("## SR in")[1].split("```text\n")[1].split("```")[0].splitlines()
    tests = Path(__file__).read_text(encoding="utf-8").split("def test_documented")[0]
    assert [line for line in shown if f'"{line}"' not in tests] == []
    limits = (MAX_DEPTH, f"{MAX_NODES:,}", f"{MAX_MEASURED}: sizes, then findings, then other numbers", MAX_LINE_CHARS)
    assert [row for row in limits if f"| {row} |" not in statement] == []


def test_old_and_new_codes_agree() -> None:
    """Every SNOMED-RT code that pydicom knows stands beside the SNOMED CT code that took its place."""
    source = files("radbridge_adapters.dicom.incoming").joinpath("sr_codes.toml").read_text(encoding="utf-8")
    newer = _snomed_dict.mapping["SRT"]
    apart = [
        (table, old)
        for table, words in tomllib.loads(source).items()
        for values in words.values()
        for old in values
        if old in newer and newer[old] not in values
    ]
    assert apart == []


def test_each_code_says_one_thing() -> None:
    """Within a table a code stands for one word."""
    source = files("radbridge_adapters.dicom.incoming").joinpath("sr_codes.toml").read_text(encoding="utf-8")
    for table, words in tomllib.loads(source).items():
        named = [value for values in words.values() for value in values]
        assert len(named) == len(set(named)), table
