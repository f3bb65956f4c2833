"""DIMSE status codes that RadBridge gives (PS3.7 annex C, PS3.4 annexes B, F and J)."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0x0000
INVALID_ATTRIBUTE_VALUE: Final = 0x0106
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_SOP_INSTANCE: Final = 0x0111
NO_SUCH_SOP_INSTANCE: Final = 0x0112
MISSING_ATTRIBUTE: Final = 0x0120
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
NO_SUCH_ACTION: Final = 0x0123
UNRECOGNIZED_OPERATION: Final = 0x0211
RESOURCE_LIMITATION: Final = 0x0213
OUT_OF_RESOURCES: Final = 0xA700
CLASS_MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000

STEP_MAY_NO_LONGER_BE_UPDATED: Final = 0xA710
"""Error ID that goes with PROCESSING_FAILURE of an N-SET (PS3.4 F.7.2.2.2)."""

STORE_FAULTS: Final = {
    "not_dicom": CANNOT_UNDERSTAND,
    "bad_length": CANNOT_UNDERSTAND,
    "too_deep": CANNOT_UNDERSTAND,
    "deflate": CANNOT_UNDERSTAND,
    "truncated": CANNOT_UNDERSTAND,
    "header_too_big": CANNOT_UNDERSTAND,  # not 0xA700: it never gets smaller, and senders repeat that one for ever
    "not_stored": OUT_OF_RESOURCES,
    "bug": PROCESSING_FAILURE,
}
"""What a C-STORE is answered when its data set can't be read or kept, by the reason."""

NORMALIZED_FAULTS: Final = {
    **dict.fromkeys(STORE_FAULTS, PROCESSING_FAILURE),
    "not_stored": RESOURCE_LIMITATION,
}
"""The same of the N services, which know no 0xA700 and 0xC000 (PS3.7 10.1.5.1.6)."""
