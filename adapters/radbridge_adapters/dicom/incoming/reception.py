"""One stored object judged: whether it can be taken in, and what it says of its study.

Five hundred slices say the same of their study. What the header's mapped elements say is read once for each different
set of their bytes; the next slice costs a comparison.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import structlog

from radbridge.case import CaseKey
from radbridge.config import Dicom
from radbridge.errors import MessageFault
from radbridge.journal.dicom import Kept
from radbridge.traces import carried
from radbridge.wire import Received, Rejected
from radbridge_adapters.dicom.encoding.bulk import is_whole
from radbridge_adapters.dicom.encoding.header import Header
from radbridge_adapters.dicom.encoding.part10 import wrap_part10
from radbridge_adapters.dicom.encoding.raw import read_dataset
from radbridge_adapters.dicom.encoding.values import Elements, is_uid
from radbridge_adapters.dicom.incoming.mapping import WANTED_TAGS, context_of, has_long_issuer, read_key, read_told
from radbridge_adapters.dicom.network import status
from radbridge_adapters.dicom.network.classes import kind_of
from radbridge_adapters.dicom.network.services import Answer, Request, StoreRequest

log = structlog.get_logger(__name__)

WIRE = "dicom"
ACK = b"\0\0"
"""What the journal keeps as the positive answer: status 0x0000."""
SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E

MAX_REJECTED = 64 * 1024
"""Bytes that are kept of what wasn't taken in."""
_REMEMBERED = 256
_MAPPED = tuple(sorted(WANTED_TAGS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Why an object isn't taken in."""

    reason: str
    detail: str
    """For the journal and as Error Comment: fixed words."""
    status: int
    offending: tuple[int, ...] = ()

    @property
    def answer(self) -> Answer:
        """What the sender is told."""
        return Answer(status=self.status, comment=self.detail, offending=self.offending)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    key: CaseKey | None = field(repr=False)
    context: str


class Reception:
    """Judges objects by the site's rules."""

    def __init__(self, settings: Dicom) -> None:
        self._settings = settings
        self._read: dict[bytes, _Read] = {}

    def judge(self, request: StoreRequest) -> Kept | Fault:
        """What is to be kept of an object, or why it can't be."""
        header = request.header
        fault = _check(request)
        if fault is not None:
            return fault
        try:
            read = self._find(request)
        except MessageFault as error:
            return Fault(reason=error.reason, detail=str(error), status=status.CANNOT_UNDERSTAND)
        is_report, trace = is_whole(request.sop_class), carried()
        # A report's content is what it says: another one is news, whatever its header.
        context = hashlib.sha256(header.elements).hexdigest()[:16] if is_report else read.context
        return Kept(
            sop_uid=request.sop_instance,
            class_uid=request.sop_class,
            study_uid=header.uid(STUDY_INSTANCE_UID),
            series_uid=header.uid(SERIES_INSTANCE_UID),
            key=read.key,
            context=context,
            peer=request.peer,
            message=lambda: receive(request, wrap(request), read.key, is_report=is_report, trace=trace),
        )

    def _find(self, request: StoreRequest) -> _Read:
        digest = _digest(request.header)
        read = self._read.get(digest)
        if read is None:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            read = self._read[digest] = self._look(request)
        return read

    def _look(self, request: StoreRequest) -> _Read:
        header = request.header
        if header.note:
            log.info(
                "object taken in",
                sop_class=request.abstract_syntax,
                reason=header.note,
                peer=request.peer_name or request.peer,
            )
        dataset = read_dataset(header.raw(_MAPPED), header.syntax)
        if has_long_issuer(Elements.of(dataset, self._settings.default_charset)):
            raise MessageFault("key_too_long", "the accession's issuer is too long")
        key = read_key(dataset, self._settings)
        told = read_told(dataset, "images", default_charset=self._settings.default_charset)
        return _Read(key=key, context=context_of(told, key))


def _digest(header: Header) -> bytes:
    return hashlib.blake2b(header.raw(_MAPPED), digest_size=16, person=header.syntax[-16:].encode()).digest()


def _check(request: StoreRequest) -> Fault | None:
    header = request.header
    if request.sop_class != request.abstract_syntax:
        return Fault(
            reason="wrong_class",
            detail="not the SOP class of the presentation context",
            status=status.SOP_CLASS_NOT_SUPPORTED,
        )
    for tag, name in ((SOP_INSTANCE_UID, "SOP Instance UID"), (STUDY_INSTANCE_UID, "Study Instance UID")):
        uid = header.uid(tag)
        if not is_uid(uid):
            detail = f"{name} is {'invalid' if uid else 'missing'}"
            return Fault(reason="bad_uid", detail=detail, status=status.CANNOT_UNDERSTAND, offending=(tag,))
    for tag, said in ((SOP_CLASS_UID, request.sop_class), (SOP_INSTANCE_UID, request.sop_instance)):
        if header.uid(tag) != said:
            return Fault(
                reason="uid_mismatch",
                detail="data set and command name different UIDs",
                status=status.CLASS_MISMATCH,
                offending=(tag,),
            )
    return None


def wrap(request: Request) -> bytes:
    """The kept elements as the file that is journaled."""
    return wrap_part10(request.header.elements, request.header.syntax, request.sop_class, request.sop_instance)


def receive(
    request: Request, raw: bytes, key: CaseKey | None, *, control_id: str = "", is_report: bool = False, trace: str = ""
) -> Received:
    """The message to journal. `control_id` is the SOP Instance UID unless given."""
    return Received(
        wire=WIRE,
        peer=request.peer,
        sender=request.calling,
        control_id=control_id or request.sop_instance,
        kind=kind_of(request.sop_class, is_report=is_report),
        accession=key.accession if key else "",
        raw=raw,
        ack=ACK,
        trace=trace,
    )


def reject(request: Request, reason: str, detail: str) -> Rejected:
    """What is kept of a request that isn't taken in."""
    kept = request.header.elements[:MAX_REJECTED]
    return Rejected(
        wire=WIRE,
        peer=request.peer,
        reason=reason,
        detail=detail,
        control_id=request.sop_instance,
        kind=kind_of(request.sop_class, is_report=is_whole(request.sop_class)),
        raw=wrap_part10(kept, request.header.syntax, request.sop_class, request.sop_instance),
        size=request.header.size,
        ack=b"",
    )
