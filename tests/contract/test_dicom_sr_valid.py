"""Every shape of SR and rejection note, held to checkers that nobody here wrote: DCMTK, dicom3tools and highdicom."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from highdicom.ko import KeyObjectSelectionDocument
from highdicom.sr import ContentSequence
from pydicom import dcmread

from tests.support import dcmtk
from tests.support.sr import DOCUMENTS, SHAPES, Shape, check, write, write_note

NO_UTF_8 = "W: The VR checker does not support this Specific Character Set: ISO_IR 192"
NO_TEMPLATES = "W: Check for template constraints not yet supported"
"""What `dsrdump` says of itself, not of the document: of text in UTF-8, and of every Key Object Selection."""
NOT_LATIN = {"unicode"}
NO_ERROR = (
    "Warning - Missing attribute or value that would be needed to build DICOMDIR",
    "Warning - Unrecognized defined term <99LOCAL>",
)
"""An empty Study ID is legal (type 2); a site's own codes have a scheme of its own (PS3.16, 8.2)."""

documents = pytest.mark.parametrize(("kind", "shape"), [(k, s) for k in DOCUMENTS for s in SHAPES])


@documents
def test_dcmtk_and_dicom3tools_find_no_fault(tmp_path: Path, kind: str, shape: str) -> None:
    """`dsrdump` takes the document with every check on, and `dciodvfy` finds no error and nothing to warn of."""
    path = tmp_path / "document.dcm"
    path.write_bytes(DOCUMENTS[kind](SHAPES[shape]))
    dumped, verified = check(path)
    said = [one for one in dumped.output.splitlines() if one.startswith(("W:", "E:", "F:"))]
    of_itself = [NO_UTF_8] * (shape in NOT_LATIN) + [NO_TEMPLATES] * (kind == "withdrawal")
    assert (dumped.status, said) == (0, of_itself), dumped.output
    faults = [one for one in verified.output.splitlines() if one.startswith(("Error", "Warning"))]
    assert (verified.status, [one for one in faults if not one.startswith(NO_ERROR)]) == (0, []), verified.output


async def test_dcmtk_reads_what_a_radiologist_should(tmp_path: Path) -> None:
    """`dsrdump` shows the flags of an unverified draft and its text."""
    path = tmp_path / "sr.dcm"
    path.write_bytes(write(SHAPES["full"]))
    shown = (await dcmtk.run("dsrdump", "+Pl", path)).output
    for line in ("PRELIMINARY", "PARTIAL", "UNVERIFIED", 'TEXT:(,,"Impression")="No acute disease.'):
        assert line in shown


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_highdicom_reads_both(shape: Shape) -> None:
    """The library highdicom parses the SR's content tree, and the note as a Key Object Selection of just that SR."""
    sent = dcmread(BytesIO(write(shape)))
    tree = ContentSequence.from_sequence(sent.ContentSequence, is_root=False)
    assert [item.name.value for item in tree] == ["121049", "121005", "121012", "121013", "121014", "121072"]
    note = KeyObjectSelectionDocument.from_dataset(dcmread(BytesIO(write_note(shape))))
    study, series, instance = note.resolve_reference(sent.SOPInstanceUID)
    assert (study, series, instance) == (sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
