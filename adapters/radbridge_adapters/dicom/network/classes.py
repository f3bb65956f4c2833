"""SOP classes by their role here, and the words by which the journal and the metrics call what is done with them."""

from __future__ import annotations

from typing import Final

VERIFICATION: Final = "1.2.840.10008.1.1"
PROCEDURE_STEP: Final = "1.2.840.10008.3.1.2.3.3"
"""Modality Performed Procedure Step (PS3.4, F.7)."""
COMMITMENT: Final = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model (PS3.4, J.3)."""
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
AVAILABILITY: Final = "1.2.840.10008.5.1.4.33"
"""Instance Availability Notification (PS3.4, R.3)."""

C_STORE: Final = "C-STORE"
SR: Final = "SR"
MPPS: Final = "MPPS"
IAN: Final = "IAN"
STORAGE_COMMITMENT: Final = "SC"


def kind_of(sop_class: str, *, is_report: bool) -> str:
    """What a message is called that came as an object of this class."""
    return {PROCEDURE_STEP: MPPS, AVAILABILITY: IAN, COMMITMENT: STORAGE_COMMITMENT}.get(
        sop_class, SR if is_report else C_STORE
    )
