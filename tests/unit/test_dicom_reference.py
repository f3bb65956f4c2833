"""docs/reference/dicom.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from radbridge.config import Dicom
from radbridge_adapters.dicom.asking import priors_query, worklist
from radbridge_adapters.dicom.encoding import part10
from radbridge_adapters.dicom.encoding.part10 import read_part10
from radbridge_adapters.dicom.incoming.reception import MAX_REJECTED
from radbridge_adapters.dicom.network import classes, negotiate, status
from radbridge_adapters.dicom.writing import compose, evidence, withdraw
from radbridge_adapters.dicom.writing.sink import STATUSES
from tests.support.sr import SHAPES, items, write, write_note

PAGE = (Path(__file__).parents[2] / "docs/reference/dicom.md").read_text()
SENT = read_part10(write(SHAPES["latin"]))


def table(heading: str, number: int = 0) -> list[list[str]]:
    """The rows of a table under a heading, without its head."""
    section = re.split(r"^## ", PAGE.partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    block = [part for part in section.strip().split("\n\n") if part.startswith("|")][number]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()[2:]]


def test_every_sop_class_and_its_role_is_told() -> None:
    """The table of SOP classes has what the modules take in, ask with and send, and nothing else."""
    told = {row[1].strip("`"): set(row[2].split(", ")) for row in table("SOP classes")}
    assert told == {
        classes.VERIFICATION: {"SCP", "SCU"},
        "1.2.840.10008.5.1.4.1.1.*": {"SCP"},
        classes.PROCEDURE_STEP: {"SCP"},
        classes.AVAILABILITY: {"SCP"},
        classes.COMMITMENT: {"SCP"},
        compose.BASIC_TEXT_SR: {"SCU"},
        withdraw.KEY_OBJECT_SELECTION: {"SCU"},
        worklist.MODALITY_WORKLIST: {"SCU"},
        priors_query.STUDY_ROOT_FIND: {"SCU"},
    }


def test_every_status_that_is_given_is_told() -> None:
    """The table of statuses has each one of the module, but for the Error ID, which stands beside its status."""
    known = {value for name, value in vars(status).items() if name.isupper() and isinstance(value, int)}
    told = {int(row[0].strip("`"), 16) for row in table("Statuses given")}
    assert told == known - {status.STEP_MAY_NO_LONGER_BE_UPDATED}
    assert f"{status.STEP_MAY_NO_LONGER_BE_UPDATED:04X}" in PAGE
    assert f"its first {MAX_REJECTED // 1024} KiB" in PAGE


def test_every_rejection_is_told() -> None:
    """The table of rejected associations is the one that callers are answered by."""
    told = {row[0].strip("`"): tuple(map(int, row[1].split(", "))) for row in table("Associations", 1)}
    assert told == negotiate.REJECTIONS


def test_the_defaults_are_those_of_the_file() -> None:
    """The limits of an association are told with their defaults."""
    told = dict(re.findall(r"`dicom\.(\w+)` \(([\d,]+)\)", PAGE))
    assert len(told) == 4
    for name, value in told.items():
        assert float(value.replace(",", "")) == getattr(Dicom(), name)


def test_what_an_answer_means_is_told() -> None:
    """The table of a C-STORE's answers is the one that deliveries go by."""
    words = {(True, False): "done", (False, True): "again", (False, False): "refused"}
    wanted = [
        [
            f"`{one.first:04X}`" + (f" to `{one.last:04X}`" if one.last > one.first else ""),
            words[one.taken, one.again],
            one.meaning,
        ]
        for one in STATUSES
    ]
    assert table("SR out", 2) == wanted


def test_what_is_sent_is_told() -> None:
    """Attributes and content items of the tables are valued in what we send; fixed values are those of the code."""
    for keyword, *_ in table("SR out"):
        assert SENT.get(keyword.strip("`")), keyword
    values = {row[0].strip("`"): row[1] for row in table("SR out")}
    for keyword in ("CompletionFlag", "VerificationFlag", "PreliminaryFlag", "Manufacturer", "SpecificCharacterSet"):
        assert f"`{SENT[keyword].value}`" in values[keyword]
    assert f"number {SENT.SeriesNumber}" in values["SeriesInstanceUID"]
    assert f"more than {evidence.AT_MOST:,}" in values["CurrentRequestedProcedureEvidenceSequence"]
    assert f"`{part10.IMPLEMENTATION}`" in PAGE


def test_the_content_is_told_item_by_item() -> None:
    """The table of the content has the items that we send, in their order, by code and type."""
    told = [(row[0].partition(",")[0].split()[0], row[1].split()[0]) for row in table("SR out", 1)]
    (section,) = items(SENT, "121072")
    sent = [
        (item.ValueType, item.ConceptNameCodeSequence[0].CodeValue)
        for item in (SENT, *SENT.ContentSequence, *section.ContentSequence)
    ]
    assert told == sent
    note = read_part10(write_note(SHAPES["full"])).ConceptNameCodeSequence[0]
    assert f"{note.CodeValue} {note.CodingSchemeDesignator} {note.CodeMeaning}" in PAGE
