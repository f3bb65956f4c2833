"""The DICOM files that the journal keeps."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.encoding.header import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from radbridge_adapters.dicom.encoding.part10 import encode_raw, read_part10, wrap_part10, write_part10
from radbridge_adapters.dicom.encoding.raw import read_dataset

CLASS, INSTANCE = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
WORDS = st.text("ABC abc", max_size=20).map(str.strip)


@st.composite
def datasets(draw: st.DrawFn, depth: int = 0) -> Dataset:
    """A few elements of several representations, sequences among them."""
    made = Dataset()
    for keyword in draw(st.sets(st.sampled_from(("PatientID", "StudyDescription", "PatientComments", "TextValue")))):
        setattr(made, keyword, draw(WORDS))
    if draw(st.booleans()):
        made.Rows = draw(st.integers(0, 65535))
    if depth < 3 and draw(st.booleans()):
        made.ContentSequence = draw(st.lists(datasets(depth=depth + 1), max_size=3))
    return made


def encode(dataset: Dataset, *, is_implicit: bool) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, is_implicit
    write_dataset(out, dataset)
    return out.getvalue()


@given(datasets())
def test_a_file_says_what_was_written(dataset: Dataset) -> None:
    """What is written is read back by us and by pydicom, and begins with a whole meta group."""
    raw = write_part10(dataset, CLASS, INSTANCE)
    theirs = dcmread(BytesIO(raw))
    assert theirs == dataset
    assert read_part10(raw) == dataset
    assert (theirs.file_meta.MediaStorageSOPClassUID, theirs.file_meta.MediaStorageSOPInstanceUID) == (CLASS, INSTANCE)


@given(datasets(), st.booleans())
def test_raw_elements_become_explicit(dataset: Dataset, is_implicit: bool) -> None:
    """Elements read raw, from either encoding, are written in explicit VR without a change of what they say."""
    elements = encode(dataset, is_implicit=is_implicit)
    syntax = IMPLICIT_LITTLE if is_implicit else EXPLICIT_LITTLE
    raw = wrap_part10(encode_raw(read_dataset(elements, syntax)), EXPLICIT_LITTLE, CLASS, INSTANCE)
    assert dcmread(BytesIO(raw)) == dataset


def test_what_is_private_is_left_out() -> None:
    """No private element is written, in sequences neither, and the data set that was given keeps its own."""
    inner = Dataset()
    inner.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "private words")
    outer = Dataset()
    outer.ContentSequence = [inner]
    assert b"private words" not in write_part10(outer, CLASS, INSTANCE)
    assert len(inner) == 2


@given(st.binary(max_size=400))
def test_nothing_else_passes_for_a_file(junk: bytes) -> None:
    """Any other bytes are a MessageFault, and nothing worse."""
    for raw in (junk, bytes(128) + b"DICM" + junk):
        try:
            read_part10(raw)
        except MessageFault:
            continue


def test_a_file_that_was_cut() -> None:
    """Half a file is no file."""
    dataset = Dataset()
    dataset.PatientID = "900001"
    with pytest.raises(MessageFault):
        read_part10(write_part10(dataset, CLASS, INSTANCE)[:-3])
