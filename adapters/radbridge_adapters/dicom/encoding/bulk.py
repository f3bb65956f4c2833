"""What of a data set is kept: tables of tags and SOP classes. Everything else of a group that isn't private is."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pydicom.datadict import dictionary_VR

PIXEL_GROUP: Final = 0x7FE0
"""Pixel data in all its kinds (PS3.3 C.7.6.3). Nothing that follows the first of it is looked at."""

MOST_OF_ONE: Final = 64 * 1024
"""Bytes of one element beyond which it is no description, but data."""

ENCAPSULATED_DOCUMENT: Final = 0x00420011

BULK: Final = frozenset(
    {
        0x00880200,  # IconImageSequence: pixels too
        ENCAPSULATED_DOCUMENT,  # a PDF or a CDA
        0x52009230,  # PerFrameFunctionalGroupsSequence: thousands of items, none about the study
        0x54000100,  # WaveformSequence
        0x56000020,  # SpectroscopyData
    }
)
"""Never kept, however short. Overlays, curves and audio are told by their groups: `BULK_GROUPS`."""

BULK_GROUPS: Final = frozenset({*range(0x5000, 0x5100, 2), *range(0x6000, 0x6100, 2), PIXEL_GROUP, 0xFFFA, 0xFFFC})
"""Curves and overlays (their bits are pixels too), digital signatures of what is no longer whole, padding."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_REPORTS = f"{_STORAGE}88."
_KEY_OBJECTS = f"{_REPORTS}59"


def is_whole(sop_class: str) -> bool:
    """Whether an object of the class is kept whole, but for private groups: a report is nothing but its content."""
    return sop_class.startswith(_REPORTS) and sop_class != _KEY_OBJECTS


@lru_cache(maxsize=8192)
def is_sequence(tag: int) -> bool:
    """Whether the standard says so: Implicit VR doesn't tell by itself."""
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return False
