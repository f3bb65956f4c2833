"""DICOM Part 10 files (PS3.10, 7): the one form in which the journal keeps what came in over DICOM."""

from __future__ import annotations

import struct
from io import BytesIO

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.encoding.coding import LONG_VRS
from radbridge_adapters.dicom.encoding.header import EXPLICIT_LITTLE
from radbridge_adapters.dicom.encoding.raw import read_dataset, split_items

IMPLEMENTATION = "2.25.302874592178146037512466935704184402793"
"""Who wrote the file: Implementation Class UID (0002,0012), required."""
_HEAD = bytes(128) + b"DICM"
_GROUP_LENGTH = struct.Struct("<HH2sHI")
_LENGTH_START, _META_START = 132, 144
"""Where the group length is, which is the first element, and where the rest of group 0002 begins."""
_VERSION = b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"


def wrap_part10(elements: bytes, syntax: str, sop_class: str, sop_instance: str) -> bytes:
    """A file around elements that are already encoded, as a `Header`'s: explicit or implicit, and never deflated."""
    meta = _VERSION + b"".join(
        _uid_element(number, uid)
        for number, uid in ((0x0002, sop_class), (0x0003, sop_instance), (0x0010, syntax), (0x0012, IMPLEMENTATION))
    )
    return _HEAD + _GROUP_LENGTH.pack(2, 0, b"UL", 4, len(meta)) + meta + elements


def _uid_element(number: int, uid: str) -> bytes:
    value = uid.encode("ascii", "replace")
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", 2, number, b"UI", len(value)) + value


def write_part10(dataset: Dataset, sop_class: str, sop_instance: str) -> bytes:
    """The data set as a file, explicit VR little endian, without its private elements.

    Text is encoded by the data set's own SpecificCharacterSet.
    """
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, _without_private(dataset))
    return wrap_part10(out.getvalue(), EXPLICIT_LITTLE, sop_class, sop_instance)


def _without_private(dataset: Dataset) -> Dataset:
    """The same elements: copying their values would have pydicom judge them, and quote them in a warning."""
    kept: dict[BaseTag, DataElement | RawDataElement] = {}
    for tag in dataset.keys():  # noqa: SIM118 - the data set itself gives elements
        if not tag.is_private:
            element = dataset.get_item(tag)
            if isinstance(element.value, Sequence):
                element = DataElement(tag, "SQ", [_without_private(item) for item in element.value])
            kept[tag] = element
    return Dataset(kept)


def read_part10(raw: bytes) -> FileDataset:
    """The data set of a file, its values unread. Raises MessageFault for what is none."""
    if len(raw) < _META_START or raw[128:_LENGTH_START] != _HEAD[128:]:
        raise MessageFault("no_part10", "the journaled object is no DICOM file")
    (length,) = struct.unpack_from("<I", raw, _META_START - 4)
    start = _META_START + length
    meta = FileMetaDataset(read_dataset(raw[_META_START:start], EXPLICIT_LITTLE))
    dataset = read_dataset(raw[start:], str(meta.get("TransferSyntaxUID", "")))
    return FileDataset(BytesIO(), dataset, file_meta=meta)


def encode_raw(dataset: Dataset) -> bytes:
    """Elements as `read_dataset` gives them, little endian, in explicit VR: of implicit ones the dictionary's VR."""
    elements: list[object] = [dataset.get_item(tag) for tag in sorted(dataset.keys())]
    return b"".join(_encode_element(e) for e in elements if isinstance(e, RawDataElement))


def _encode_element(element: RawDataElement) -> bytes:
    vr, value = (element.VR or "UN").encode("ascii"), element.value or b""
    if vr == b"SQ":
        items = [encode_raw(item) for item in split_items(element)]
        value = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    elif vr not in LONG_VRS and len(value) > 0xFFFF:
        vr = b"UN"  # a short form has no room for it (PS3.5 6.2.2)
    length = struct.pack("<HI", 0, len(value)) if vr in LONG_VRS else struct.pack("<H", len(value))
    return struct.pack("<HH", element.tag.group, element.tag.element) + vr + length + value
