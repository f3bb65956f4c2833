"""Storage Commitment as SCP (PS3.4, J.3): every request is answered, and nothing is ever committed to.

RadBridge keeps no pixels. A modality that believed it did might delete its images.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import islice

import structlog

from radbridge.config import Dicom
from radbridge.errors import ConfigError, DeliveryError, MessageFault
from radbridge_adapters.dicom.encoding.header import IMPLICIT_LITTLE
from radbridge_adapters.dicom.encoding.raw import read_dataset
from radbridge_adapters.dicom.encoding.values import Elements, is_uid, tag_of
from radbridge_adapters.dicom.incoming.reception import Fault
from radbridge_adapters.dicom.network import status
from radbridge_adapters.dicom.network.classes import COMMITMENT, COMMITMENT_INSTANCE
from radbridge_adapters.dicom.network.scu import Scu
from radbridge_adapters.dicom.network.services import ActRequest, Event

log = structlog.get_logger(__name__)

REQUEST_COMMITMENT = 1
"""Action Type ID (J.3.2.1)."""
FAILURES_EXIST = 2
"""Event Type ID: complete, failures exist (J.3.3.1)."""
NO_SUCH_INSTANCE = 0x0112
"""Failure Reason (0008,1197)."""
REPORT_TIMEOUT_S = 10.0
MAX_REFERENCES = 100_000
TRANSACTION_UID = tag_of("TransactionUID")


def refuse_commitment(request: ActRequest, settings: Dicom) -> Event | Fault:
    """The report that commits to nothing, or why the request isn't one."""
    if request.action != REQUEST_COMMITMENT:
        return Fault(reason="unknown_action", detail="no such action", status=status.NO_SUCH_ACTION)
    if request.sop_instance != COMMITMENT_INSTANCE:
        return Fault(
            reason="unknown_instance", detail="not the well-known instance", status=status.NO_SUCH_SOP_INSTANCE
        )
    try:
        dataset = read_dataset(request.header.elements, request.header.syntax)
    except MessageFault as error:
        return Fault(reason=error.reason, detail="the request can't be read", status=status.PROCESSING_FAILURE)
    said = Elements.of(dataset, settings.default_charset)
    transaction = said.text("TransactionUID")
    if not is_uid(transaction):
        return Fault(
            reason="missing_attribute",
            detail="no valid Transaction UID",
            status=status.MISSING_ATTRIBUTE,
            offending=(TRANSACTION_UID,),
        )
    asked = [
        (item.text("ReferencedSOPClassUID"), item.text("ReferencedSOPInstanceUID"))
        for item in islice(said.each("ReferencedSOPSequence"), MAX_REFERENCES + 1)
    ]
    if len(asked) > MAX_REFERENCES:  # what a report leaves out might be taken for committed
        return Fault(reason="too_many", detail="too many references", status=status.RESOURCE_LIMITATION)
    return Event(
        type=FAILURES_EXIST,
        sop_class=COMMITMENT,
        sop_instance=COMMITMENT_INSTANCE,
        dataset=_report(transaction, asked, is_implicit=request.transfer_syntax == IMPLICIT_LITTLE),
    )


def _report(transaction: str, asked: Sequence[tuple[str, str]], *, is_implicit: bool) -> bytes:
    """Event Information (J.3.3.1.1)."""

    def element(tag: int, vr: bytes, value: bytes) -> bytes:
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if is_implicit:
            return head + struct.pack("<I", len(value)) + value
        length = struct.pack("<HI", 0, len(value)) if vr == b"SQ" else struct.pack("<H", len(value))
        return head + vr + length + value

    def uid(tag: int, value: str) -> bytes:
        raw = value.encode("ascii", "replace")
        return element(tag, b"UI", raw + b"\0" * (len(raw) % 2))

    items = [
        uid(tag_of("ReferencedSOPClassUID"), sop_class)
        + uid(tag_of("ReferencedSOPInstanceUID"), sop_instance)
        + element(tag_of("FailureReason"), b"US", struct.pack("<H", NO_SUCH_INSTANCE))
        for sop_class, sop_instance in asked
    ]
    sequence = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    failed = element(tag_of("FailedSOPSequence"), b"SQ", sequence)
    return uid(TRANSACTION_UID, transaction) + failed


async def report_again(request: ActRequest, event: Event, settings: Dicom) -> None:
    """Report over an association of our own to a peer that left; once, since a lost `no` commits nobody."""
    peer = next((p for p in settings.peers if p.name == request.peer_name and p.address is not None), None)
    if peer is None:
        log.warning(
            "storage commitment not reported", peer=request.peer_name or request.peer, reason="no address to call"
        )
        return
    try:
        answer = await Scu.of(settings, peer.name).report(event, request.transfer_syntax, timeout_s=REPORT_TIMEOUT_S)
    except (DeliveryError, ConfigError) as error:
        log.warning("storage commitment not reported", peer=peer.name, reason=type(error).__name__)
    else:
        log.info("storage commitment reported", peer=peer.name, status=answer)
