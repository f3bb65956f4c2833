"""Modalities by pynetdicom, and the data sets that they send."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

Result = TypeVar("Result")

ModalityPerformedProcedureStep = "1.2.840.10008.3.1.2.3.3"
InstanceAvailabilityNotification = "1.2.840.10008.5.1.4.33"
StorageCommitmentPushModel = "1.2.840.10008.1.20.1"
StorageCommitmentPushModelInstance = UID("1.2.840.10008.1.20.1.1")
STUDY = "1.2.826.0.1.3680043.8.498.6000"
WAIT_S = 60.0


def image(accession: str = "A1", *, study: str = STUDY, sop_class: str = CTImageStorage, **more: Any) -> Dataset:
    """A small CT slice under a new SOP Instance UID; keywords replace or add attributes, None takes one away."""
    dataset = Dataset()
    attributes: dict[str, Any] = {
        "SOPClassUID": sop_class,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.1",
        "AccessionNumber": accession,
        "PatientName": "DOE^JANE",
        "PatientID": "900001",
        "PatientSex": "F",
        "PatientBirthDate": "19550301",
        "StudyDate": "20260301",
        "StudyTime": "101500",
        "StudyID": "1",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "Modality": "CT",
        "BodyPartExamined": "CHEST",
        "StudyDescription": "CT CHEST",
        "ReferringPhysicianName": "",
        "Rows": 16,
        "Columns": 16,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PixelData": bytes(16 * 16 * 2),
    } | more
    for keyword, value in attributes.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def save(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a DICOM file. One that has a meta group keeps its transfer syntax."""
    meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
    meta.TransferSyntaxUID = meta.get("TransferSyntaxUID") or UID(syntax)
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID") or UID("1.2.276.0.7230010.3.1.0.1")
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID") or generate_uid()
    dataset.file_meta = meta
    dataset.save_as(path, enforce_file_format=True)
    return path


@contextmanager
def association(
    port: int, *sop_classes: str, calling: str = "MODALITY", called: str = "RADBRIDGE", **more: Any
) -> Iterator[Association]:
    """An association in these SOP classes, released at the end; `more` goes to pynetdicom's `associate`."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = WAIT_S
    for sop_class in sop_classes:
        ae.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    made = ae.associate("127.0.0.1", port, ae_title=called, **more)
    assert made.is_established, "no association"
    try:
        yield made
    finally:
        if made.is_established:
            made.release()
        ae.shutdown()
        made.join(WAIT_S)
        if made.dul.socket is not None and made.dul.socket.socket is not None:
            made.dul.socket.socket.close()  # pynetdicom leaves the socket of a peer that died to the garbage collector


async def apart(function: Callable[..., Result], *args: Any, **keywords: Any) -> Result:
    """Run one of the functions below in a thread: the gateway has the event loop."""
    return await asyncio.to_thread(function, *args, **keywords)


def store(port: int, *datasets: Dataset, **association_options: Any) -> list[int]:
    """C-STORE over one association; each status."""
    for dataset in datasets:
        if getattr(dataset, "file_meta", None) is None:
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    classes = sorted({str(d.SOPClassUID) for d in datasets})
    with association(port, *classes, **association_options) as made:
        return [int(made.send_c_store(dataset).Status) for dataset in datasets]


class Answers:
    """The command sets of the responses that come over an association."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Dataset] = queue.Queue()

    @property
    def handlers(self) -> list[Any]:
        """For `association(evt_handlers=…)`."""
        return [(evt.EVT_DIMSE_RECV, lambda event: self._queue.put(event.message.command_set))]

    def next(self) -> Dataset:
        """The next one."""
        return self._queue.get(timeout=WAIT_S)


def store_as(port: int, dataset: Dataset, *, sop_class: str = "", sop_instance: str = "") -> Dataset:
    """C-STORE under a command that names other UIDs than the data set may; the response's command set."""
    named = str(dataset.get("SOPClassUID") or CTImageStorage)
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = sop_class or named
    request.AffectedSOPInstanceUID = sop_instance or str(dataset.get("SOPInstanceUID") or generate_uid())
    request.DataSet = BytesIO(encode(dataset))
    answers = Answers()
    with association(port, named, evt_handlers=answers.handlers) as made:
        made.dimse.send_msg(request, made.accepted_contexts[0].context_id or 1)
        return answers.next()


def encode(dataset: Dataset) -> bytes:
    """The elements in explicit VR little endian."""
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, dataset)
    return out.getvalue()


def step(accessions: Sequence[str] = ("A1",), *, study: str = STUDY, **more: Any) -> Dataset:
    """The attributes of an MPPS N-CREATE that begins a step for these accession numbers."""
    dataset = Dataset()
    dataset.ScheduledStepAttributesSequence = [_scheduled(accession, study) for accession in accessions]
    dataset.PerformedProcedureStepStatus = "IN PROGRESS"
    dataset.PerformedProcedureStepID = "P1"
    dataset.PerformedStationAETitle = "MODALITY"
    dataset.PerformedProcedureStepStartDate = "20260301"
    dataset.PerformedProcedureStepStartTime = "101500"
    dataset.Modality = "CT"
    dataset.PatientID = "900001"
    dataset.PatientName = "DOE^JANE"
    dataset.PatientSex = "F"
    dataset.PatientBirthDate = "19550301"
    dataset.PerformedSeriesSequence = []
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    return dataset


def _scheduled(accession: str, study: str) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = study
    item.AccessionNumber = accession
    item.RequestedProcedureID = "R1"
    item.RequestedProcedureDescription = "CT CHEST"
    item.ScheduledProcedureStepID = "S1"
    return item


def change(status: str = "COMPLETED", **more: Any) -> Dataset:
    """The attributes of an MPPS N-SET."""
    dataset = Dataset()
    dataset.PerformedProcedureStepStatus = status
    dataset.PerformedProcedureStepEndDate = "20260301"
    dataset.PerformedProcedureStepEndTime = "103000"
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    return dataset


def mpps_create(port: int, uid: str | None, attributes: Dataset) -> Dataset:
    """N-CREATE; the response's command set."""
    answers = Answers()
    with association(port, ModalityPerformedProcedureStep, evt_handlers=answers.handlers) as made:
        made.send_n_create(attributes, ModalityPerformedProcedureStep, UID(uid) if uid else None)
        return answers.next()


def mpps_set(port: int, uid: str, attributes: Dataset) -> Dataset:
    """N-SET; the response's command elements."""
    with association(port, ModalityPerformedProcedureStep) as made:
        status, _ = made.send_n_set(attributes, ModalityPerformedProcedureStep, UID(uid))
        return status


def availability(images: Sequence[Dataset], *, code: str = "ONLINE") -> Dataset:
    """The attributes of an Instance Availability Notification about images of one study."""
    dataset = Dataset()
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.StudyInstanceUID = images[0].StudyInstanceUID
    series = Dataset()
    series.SeriesInstanceUID = images[0].SeriesInstanceUID
    series.ReferencedSOPSequence = []
    for one in images:
        item = _reference(one)
        item.InstanceAvailability = code
        item.RetrieveAETitle = "PACS"
        series.ReferencedSOPSequence.append(item)
    dataset.ReferencedSeriesSequence = [series]
    return dataset


def _reference(dataset: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = dataset.SOPClassUID
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    return item


def ian_create(port: int, attributes: Dataset) -> Dataset:
    """N-CREATE of an Instance Availability Notification; the response's command elements."""
    with association(port, InstanceAvailabilityNotification) as made:
        status, _ = made.send_n_create(attributes, InstanceAvailabilityNotification, generate_uid())
        return status


def commitment(images: Sequence[Dataset], transaction: str | None = None) -> Dataset:
    """The Action Information of a storage commitment request."""
    dataset = Dataset()
    dataset.TransactionUID = transaction or generate_uid()
    dataset.ReferencedSOPSequence = [_reference(one) for one in images]
    return dataset


def send_commitment(made: Association, information: Dataset) -> Dataset:
    """N-ACTION, Request Storage Commitment (PS3.4, J.3.2); the response's command elements."""
    status, _ = made.send_n_action(information, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    return status
