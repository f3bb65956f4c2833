"""Data sets as bytes for a peer. Raw values go as they are: pydicom would convert them, and warn of what is odd."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from radbridge_adapters.dicom.encoding.header import EXPLICIT_LITTLE
from radbridge_adapters.dicom.encoding.part10 import encode_raw
from radbridge_adapters.dicom.encoding.raw import read_dataset, split_items


def encode(dataset: Dataset, syntax: str) -> bytes:
    """The data set in explicit or implicit VR, little endian."""
    is_raw = all(isinstance(dataset.get_item(tag), RawDataElement) for tag in dataset.keys())  # noqa: SIM118
    explicit = encode_raw(dataset) if is_raw else _write(dataset)
    return explicit if syntax == EXPLICIT_LITTLE else _encode_implicit(read_dataset(explicit, EXPLICIT_LITTLE))


def encode_items(items: Iterable[Dataset], encode_item: Callable[[Dataset], bytes] = encode_raw) -> bytes:
    """The value of a sequence, its items with a length each (PS3.5 7.5)."""
    encoded = [encode_item(item) for item in items]
    return b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in encoded)


def _write(dataset: Dataset) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, dataset)
    return out.getvalue()


def _encode_implicit(dataset: Dataset) -> bytes:
    encoded = bytearray()
    for tag in sorted(dataset.keys()):
        element: object = dataset.get_item(tag)
        if isinstance(element, RawDataElement):
            value = element.value or b""
            if element.VR == "SQ":
                value = encode_items(split_items(element), _encode_implicit)
            encoded += struct.pack("<HHI", element.tag.group, element.tag.element, len(value)) + value
    return bytes(encoded)
