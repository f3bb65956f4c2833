"""HeaderReader: what stands before the pixels is kept, the pixels never are, and nothing else is ever raised."""

from __future__ import annotations

import struct
import time
import zlib
from contextlib import suppress
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.encoding.bulk import is_whole
from radbridge_adapters.dicom.encoding.header import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Header
from radbridge_adapters.dicom.encoding.reader import HeaderReader
from radbridge_adapters.dicom.network.status import STORE_FAULTS

DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
SYNTAXES = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG)


def encode(dataset: Dataset, syntax: str) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian = syntax != EXPLICIT_BIG
    out.is_implicit_VR = syntax == IMPLICIT_LITTLE
    write_dataset(out, dataset)
    return out.getvalue()


def read(raw: bytes, syntax: str, *, step: int = 1 << 20, **options: object) -> Header:
    reader = HeaderReader(syntax, **{"max_header_bytes": 1 << 20, **options})  # type: ignore[arg-type]
    for at in range(0, len(raw), step):
        reader.feed(raw[at : at + step])
    return reader.end()


def parse(elements: bytes, syntax: str) -> Dataset:
    implicit, little = syntax == IMPLICIT_LITTLE, syntax != EXPLICIT_BIG
    return read_dataset(BytesIO(elements), is_implicit_VR=implicit, is_little_endian=little)


def item(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def image(pixels: bytes = b"\xab\xcd" * 8192) -> Dataset:
    made = item(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        SOPInstanceUID="1.2.3.4",
        AccessionNumber="A1",
        Modality="CT",
        PatientID="900001",
        StudyInstanceUID="1.2.3",
        Rows=128,
        RequestAttributesSequence=Sequence(
            [item(AccessionNumber="A1", ScheduledProtocolCodeSequence=Sequence([item(CodeValue="X", CodeMeaning="Y")]))]
        ),
    )
    made.add_new(0x7FE00010, "OW", pixels)
    return made


VALUES = st.sampled_from(
    [
        ("AccessionNumber", "SH", "A1"),
        ("PatientID", "LO", "900001"),
        ("StudyDescription", "LO", "CT CHEST"),
        ("Rows", "US", 512),
        ("StudyDate", "DA", "20260101"),
        ("PixelSpacing", "DS", ["0.5", "0.5"]),
        ("ImageComments", "LT", "note " * 20),
        ("RedPaletteColorLookupTableData", "OW", b"\1\2" * 100),
        ("TextValue", "UT", "finding " * 9),
        ("FloatingPointValue", "FD", 1.5),
        ("ReferencedSOPInstanceUID", "UI", "1.2.3.4.5"),
    ]
)


@st.composite
def datasets(draw: st.DrawFn, depth: int = 3) -> Dataset:
    made = Dataset()
    for keyword, _, value in draw(st.lists(VALUES, max_size=6)):
        setattr(made, keyword, value)
    if draw(st.booleans()):
        block = made.private_block(0x0011, "ACME", create=True)
        block.add_new(1, "LO", "secret")
    if depth and draw(st.booleans()):
        items = draw(st.lists(datasets(depth=depth - 1), max_size=3))
        made.ContentSequence = Sequence(items)
        made["ContentSequence"].is_undefined_length = draw(st.booleans())
        for one in items:
            one.is_undefined_length_sequence_item = draw(st.booleans())
    return made


@given(
    dataset=datasets(),
    syntax=st.sampled_from(SYNTAXES),
    cuts=st.lists(st.integers(0, 4000), max_size=12),
    deflate=st.booleans(),
    pixels=st.booleans(),
)
def test_any_split_gives_what_pydicom_reads(
    dataset: Dataset, syntax: str, cuts: list[int], *, deflate: bool, pixels: bool
) -> None:
    """Whatever the syntax, the nesting and the pieces it comes in: the kept elements are those that pydicom reads."""
    if pixels:
        dataset.add_new(0x7FE00010, "OW", b"\xab\xcd" * 500)
    deflate = deflate and syntax == EXPLICIT_LITTLE
    raw = encode(dataset, syntax)
    if deflate:
        packer = zlib.compressobj(wbits=-15)
        raw = packer.compress(raw) + packer.flush()
    reader = HeaderReader(DEFLATED if deflate else syntax, max_header_bytes=1 << 20)
    edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    for start, stop in pairwise(edges):
        reader.feed(memoryview(raw)[start:stop])
    header = reader.end()

    if pixels:
        del dataset[0x7FE00010]
    expected = parse(encode(dataset, syntax), syntax)
    expected.remove_private_tags()
    assert parse(header.elements, header.syntax) == expected
    assert header.size == len(raw)
    for tag, (start, value, stop) in header.index.items():
        alone = parse(header.elements[start:stop], header.syntax)
        assert list(alone.keys()) == [tag]
        assert start < value <= stop


@given(raw=st.binary(max_size=600), syntax=st.sampled_from([*SYNTAXES, DEFLATED, JPEG]), step=st.integers(1, 300))
def test_hostile_bytes_raise_nothing_but_message_faults(raw: bytes, syntax: str, step: int) -> None:
    """Any bytes at all are a header or a MessageFault."""
    try:
        read(raw, syntax, step=step)
    except MessageFault as fault:
        if fault.reason not in STORE_FAULTS:
            raise


@given(data=st.data(), syntax=st.sampled_from(SYNTAXES))
def test_damaged_objects_raise_nothing_but_message_faults(data: st.DataObject, syntax: str) -> None:
    """An object with some bytes changed is a header or a MessageFault."""
    raw = bytearray(encode(image(), syntax)[:400])
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MessageFault):
        read(bytes(raw), syntax, step=data.draw(st.integers(1, 400)))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixels_are_never_held(syntax: str) -> None:
    """Of 64 MB of pixels that come in pieces, the reader holds not a byte at any time."""
    raw = encode(image(b""), syntax)[:-4]
    reader = HeaderReader(syntax, max_header_bytes=1 << 20)
    reader.feed(raw + b"\xff\xff\xff\xff")
    held = reader.held
    for _ in range(1024):
        reader.feed(bytes(65536))
        assert reader.held == held
    header = reader.end()
    assert len(header.elements) < 400
    assert header.size == len(raw) + 4 + (64 << 20)


@pytest.mark.parametrize("group", [0x7FE0, 0x6000, 0x5000, 0x0011])
@pytest.mark.parametrize("whole", [False, True])
def test_bulk_is_dropped_as_it_comes(group: int, *, whole: bool) -> None:
    """Pixels, overlays, curves and private data of any length are counted and not held, in a report too."""
    raw = encode(item(PatientID="900001"), EXPLICIT_LITTLE)
    raw += struct.pack("<HH2sHI", group, 0x3000, b"OW", 0, 32 << 20)
    reader = HeaderReader(EXPLICIT_LITTLE, max_header_bytes=1 << 20, whole=whole)
    reader.feed(raw)
    for _ in range(512):
        reader.feed(bytes(65536))
        assert reader.held < 1000
    assert parse(reader.end().elements, EXPLICIT_LITTLE).PatientID == "900001"


def test_pixels_of_icons_and_in_other_sequences_are_dropped() -> None:
    """Small pictures inside sequences are pixels too, native and encapsulated."""
    icon = item(Rows=64)
    icon.add_new(0x7FE00010, "OW", b"\xab\xcd" * 2048)
    packed = item(Rows=64)
    packed.add_new(0x7FE00010, "OB", encapsulate([b"\xab\xcd" * 2048]))
    packed["PixelData"].is_undefined_length = True
    dataset = item(
        PatientID="900001", IconImageSequence=Sequence([icon]), ReferencedImageSequence=Sequence([icon, packed])
    )
    header = read(encode(dataset, EXPLICIT_LITTLE), EXPLICIT_LITTLE)
    assert b"\xab\xcd" not in header.elements
    read_back = parse(header.elements, header.syntax)
    assert [one.Rows for one in read_back.ReferencedImageSequence] == [64, 64]
    assert "IconImageSequence" not in read_back


def test_private_elements_are_dropped_inside_sequences_too() -> None:
    """No private element is kept, however deep it stands."""
    inner = item(CodeValue="X")
    inner.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "SECRET")
    header = read(encode(item(ConceptNameCodeSequence=Sequence([inner])), EXPLICIT_LITTLE), EXPLICIT_LITTLE)
    assert b"SECRET" not in header.elements
    assert parse(header.elements, header.syntax).ConceptNameCodeSequence[0].CodeValue == "X"


def test_an_encapsulated_document_is_dropped_with_a_note() -> None:
    """The PDF itself is ignored, its header is kept, and the note says so."""
    dataset = item(PatientID="900001", MIMETypeOfEncapsulatedDocument="application/pdf")
    dataset.add_new(0x00420011, "OB", b"%PDF" * 10)
    header = read(encode(dataset, EXPLICIT_LITTLE), EXPLICIT_LITTLE)
    assert header.note == "encapsulated: ignored"
    assert b"%PDF" not in header.elements


def test_odd_lengths_are_taken_as_they_are() -> None:
    """Implicit VR with odd lengths, as many vendors send it, is read and noted."""
    raw = b"".join(
        struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value
        for tag, value in ((0x00080050, b"A12"), (0x00100020, b"90001"), (0x0020000D, b"1.2.3"))
    )
    header = read(raw, IMPLICIT_LITTLE)
    assert header.note == "odd_length"
    assert (header.value(0x00080050), header.uid(0x0020000D)) == (b"A12", "1.2.3")


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("step", [1, 100, 100_000])
def test_a_file_sent_as_data_set_is_read_by_its_own_head(syntax: str, step: int) -> None:
    """Preamble and group 0002 before the data set are skipped, and their transfer syntax counts."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    head = bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element)) + element
    header = read(head + encode(image(), syntax), JPEG, step=step)
    assert header.note == "meta_in_dataset"
    assert header.syntax == syntax
    assert header.uid(0x0020000D) == "1.2.3"


def test_a_head_that_comes_byte_by_byte_is_walked_once() -> None:
    """Thousands of elements of group 0002 in the smallest pieces take no more time than their bytes."""
    raw = bytes(128) + b"DICM" + struct.pack("<HH2sH", 2, 0x16, b"AE", 0) * 8000 + encode(image(), EXPLICIT_LITTLE)
    start = time.process_time()
    header = read(raw, EXPLICIT_LITTLE, step=1)
    assert time.process_time() - start < 2
    assert header.note == "meta_in_dataset"


def test_a_head_alone_is_truncated() -> None:
    """A file that stops before its data set is no empty data set."""
    for raw in (bytes(128) + b"DICM", struct.pack("<HH2sH", 2, 0x16, b"AE", 0)):
        with pytest.raises(MessageFault) as caught:
            read(raw, EXPLICIT_LITTLE)
        assert caught.value.reason == "truncated"


def nested(depth: int, *, undefined: bool) -> bytes:
    body = b""
    for _ in range(depth):
        length = 0xFFFFFFFF if undefined else len(body)
        body = struct.pack("<HHI", 0xFFFE, 0xE000, length) + body
        body += struct.pack("<HHI", 0xFFFE, 0xE00D, 0) if undefined else b""
        length = 0xFFFFFFFF if undefined else len(body)
        body = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, length) + body
        body += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if undefined else b""
    return body


@pytest.mark.parametrize("undefined", [True, False])
def test_nesting_has_a_limit(*, undefined: bool) -> None:
    """Sixteen levels are read, one more is refused, and thousands cost no more than that."""
    read(nested(16, undefined=undefined), EXPLICIT_LITTLE)
    for depth in (17, 3000):
        with pytest.raises(MessageFault) as caught:
            read(nested(depth, undefined=undefined), EXPLICIT_LITTLE)
        assert caught.value.reason == "too_deep"


@pytest.mark.parametrize("cut", [3, 9, 30, 80, 110, 130])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_truncated_header_is_told(syntax: str, cut: int) -> None:
    """A data set that stops in mid-element before its pixels is truncated; what came before is still there."""
    raw = encode(image(), syntax)
    whole = {0, *(stop for _, _, stop in read(raw, syntax).index.values())}
    reader = HeaderReader(syntax, max_header_bytes=1 << 20)
    reader.feed(raw[:cut])
    if cut not in whole:
        with pytest.raises(MessageFault) as caught:
            reader.end()
        assert caught.value.reason == "truncated"
    assert len(reader.partial().elements) <= cut


def test_a_header_has_a_limit() -> None:
    """One that is longer than the limit is refused before it is held, by its claimed length already."""
    reader = HeaderReader(EXPLICIT_LITTLE, max_header_bytes=100_000, whole=True)
    with pytest.raises(MessageFault) as caught:
        reader.feed(struct.pack("<HH2sHI", 0x0040, 0xA160, b"UT", 0, 1 << 30) + bytes(200))
    assert caught.value.reason == "header_too_big"
    many = encode(item(ContentSequence=Sequence([item(TextValue="x" * 60_000) for _ in range(3)])), EXPLICIT_LITTLE)
    with pytest.raises(MessageFault) as caught:
        read(many, EXPLICIT_LITTLE, max_header_bytes=100_000, whole=True)
    assert caught.value.reason == "header_too_big"


def test_elements_are_counted() -> None:
    """A header of very many tiny elements is refused: what is kept of each costs more than its bytes."""
    tiny = b"".join(
        struct.pack("<HH2sH", 0x0008 + 2 * (n >> 15), 0x0001 + (n & 0x7FFF), b"LO", 0) for n in range(40_000)
    )
    with pytest.raises(MessageFault) as caught:
        read(tiny, EXPLICIT_LITTLE, max_header_bytes=1 << 22)
    assert caught.value.reason == "header_too_big"


def test_a_deflate_bomb_is_stopped() -> None:
    """A megabyte that inflates to a thousand is given up early."""
    bomb = struct.pack("<HH2sHI", 0x0011, 0x1000, b"OB", 0, 1 << 30)
    packer = zlib.compressobj(9, wbits=-15)
    raw = packer.compress(bomb) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    with pytest.raises(MessageFault) as caught:
        read(raw, DEFLATED, max_header_bytes=100_000)
    assert caught.value.reason == "header_too_big"


def test_long_elements_are_kept_only_when_wanted() -> None:
    """Over 64 KiB an element, or a sequence of undefined length, is dropped unless it was asked for."""
    dataset = item(PatientID="900001", ContentSequence=Sequence([item(TextValue="x" * 40_000) for _ in range(2)]))
    for undefined in (True, False):
        dataset["ContentSequence"].is_undefined_length = undefined
        raw = encode(dataset, EXPLICIT_LITTLE)
        assert list(read(raw, EXPLICIT_LITTLE).index) == [0x00100020]
        assert 0x0040A730 in read(raw, EXPLICIT_LITTLE, wanted=frozenset({0x0040A730})).index
        assert 0x0040A730 in read(raw, EXPLICIT_LITTLE, whole=True).index


def test_reports_are_whole_and_rejection_notes_are_not() -> None:
    """Every class below ...88. is a report, but for Key Object Selection."""
    assert is_whole("1.2.840.10008.5.1.4.1.1.88.11")
    assert is_whole("1.2.840.10008.5.1.4.1.1.88.67")
    assert not is_whole("1.2.840.10008.5.1.4.1.1.88.59")
    assert not is_whole("1.2.840.10008.5.1.4.1.1.2")
