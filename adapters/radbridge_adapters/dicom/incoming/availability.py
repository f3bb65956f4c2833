"""Instance Availability Notification as SCP (PS3.4, R.3): a study's objects can be had somewhere."""

from __future__ import annotations

import hashlib

from radbridge.config import Dicom
from radbridge.errors import MessageFault
from radbridge.journal.dicom import Filed
from radbridge.traces import carried
from radbridge_adapters.dicom.encoding.raw import read_dataset
from radbridge_adapters.dicom.encoding.values import is_uid
from radbridge_adapters.dicom.incoming.mapping import read_key
from radbridge_adapters.dicom.incoming.reception import STUDY_INSTANCE_UID, Fault, receive, wrap
from radbridge_adapters.dicom.network import status
from radbridge_adapters.dicom.network.services import CreateRequest


def read_notification(request: CreateRequest, settings: Dicom) -> Filed | Fault:
    """The message to file, or why it is none."""
    study_uid = request.header.uid(STUDY_INSTANCE_UID)
    if not is_uid(study_uid):
        return Fault(
            reason="missing_attribute" if not study_uid else "bad_uid",
            detail="Study Instance UID is missing or invalid",
            status=status.INVALID_ATTRIBUTE_VALUE if study_uid else status.MISSING_ATTRIBUTE,
            offending=(STUDY_INSTANCE_UID,),
        )
    try:
        key = read_key(read_dataset(request.header.elements, request.header.syntax), settings)
    except MessageFault as error:
        return Fault(reason=error.reason, detail="the notification can't be read", status=status.PROCESSING_FAILURE)
    raw = wrap(request)
    control_id = request.sop_instance or hashlib.sha256(raw).hexdigest()[:32]
    return Filed(
        received=receive(request, raw, key, control_id=control_id, trace=carried()), studies=((study_uid, key),)
    )
