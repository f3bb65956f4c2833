"""Storage commitment: every request is answered, and nothing is ever committed to."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

from radbridge_adapters import dicom
from radbridge_adapters.dicom.network.dimse import Value
from radbridge_adapters.dicom.network.dimse import encode as encode_command
from tests.support.dicom_peer import associated, message
from tests.support.dicom_scu import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    apart,
    association,
    commitment,
    encode,
    image,
    send_commitment,
)
from tests.support.gateway import free_port
from tests.support.live import LiveGateway, live, make_site

WAIT_S = 60.0


class Reports:
    """The N-EVENT-REPORTs that a modality got."""

    def __init__(self) -> None:
        self.got: list[tuple[int, Dataset]] = []
        self.came = threading.Event()

    def take(self, event: evt.Event) -> tuple[int, None]:
        """Acknowledge one."""
        self.got.append((int(getattr(event.request, "EventTypeID", 0)), event.event_information))
        return 0, None

    def sent(self, event: evt.Event) -> None:
        """Only after the acknowledgement may the association be released."""
        if isinstance(event.message, N_EVENT_REPORT_RSP):
            self.came.set()

    @property
    def handlers(self) -> list[Any]:
        """For pynetdicom."""
        return [(evt.EVT_N_EVENT_REPORT, self.take), (evt.EVT_DIMSE_SENT, self.sent)]


@contextmanager
def modality(reports: Reports) -> Iterator[int]:
    """A modality that listens for reports on a port of its own."""
    ae = AE("MODALITY")
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=reports.handlers)
    assert server is not None
    try:
        yield port
    finally:
        server.shutdown()
        ae.shutdown()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[LiveGateway]:
    """A gateway with the DICOM wire."""
    async with live(make_site(tmp_path), dicom.wire) as made:
        yield made


def port(gateway: LiveGateway) -> int:
    return int(gateway.addresses["dicom"].rpartition(":")[2])


def ask(port: int, information: Dataset, reports: Reports) -> int:
    """Request commitment and stay until the report came."""
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid = StorageCommitmentPushModel
    role.scu_role, role.scp_role = True, False
    with association(port, StorageCommitmentPushModel, evt_handlers=reports.handlers) as made:
        status = send_commitment(made, information)
        assert reports.came.wait(WAIT_S)
        return int(status.Status)


async def ask_and_leave(port: int, information: Dataset) -> int:
    """Request commitment and be gone before the report."""
    action: list[tuple[int, Value]] = [(0x0003, StorageCommitmentPushModel), (0x0100, 0x0130), (0x0110, 1)]
    action += [(0x0800, 0), (0x1001, StorageCommitmentPushModelInstance), (0x1008, 1)]
    async with associated(port, StorageCommitmentPushModel) as peer:
        return await peer.status(message(encode_command(action), encode(information)))


def failed(report: Dataset) -> list[tuple[str, int]]:
    return [(str(i.ReferencedSOPInstanceUID), int(i.FailureReason)) for i in report.FailedSOPSequence]


def refusals(images: Sequence[Dataset]) -> list[tuple[str, int]]:
    return [(str(one.SOPInstanceUID), 0x0112) for one in images]


async def test_nothing_is_committed_to(gateway: LiveGateway) -> None:
    """The request succeeds, and the report over the same association names every object as not kept here."""
    one = image()
    images, reports = [one] * 1500, Reports()  # more than are read of any other sequence
    information = commitment(images)
    assert await apart(ask, port(gateway), information, reports) == 0
    [(kind, report)] = reports.got
    assert kind == 2
    assert report.TransactionUID == information.TransactionUID
    assert failed(report) == refusals(images)
    assert "ReferencedSOPSequence" not in report


async def test_a_peer_that_left_is_told_where_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A modality that leaves before the report gets it at its own address."""
    monkeypatch.setattr("radbridge_adapters.dicom.incoming.commitment.REPORT_TIMEOUT_S", 120.0)
    images, reports = [image()], Reports()
    with modality(reports) as listens:
        peer = {"name": "ct1", "ae_title": "MODALITY", "address": f"127.0.0.1:{listens}"}
        async with live(make_site(tmp_path, dicom={"peers": [peer]}), dicom.wire) as gateway:
            assert await ask_and_leave(port(gateway), commitment(images)) == 0
            await gateway.until(reports.came.is_set)
    [(kind, report)] = reports.got
    assert (kind, failed(report)) == (2, refusals(images))


async def test_a_request_without_transaction(gateway: LiveGateway) -> None:
    """A request that no report could name is refused and kept."""
    information = commitment([image()])
    del information.TransactionUID

    def send() -> int:
        with association(port(gateway), StorageCommitmentPushModel) as made:
            return int(send_commitment(made, information).Status)

    assert await apart(send) == 0x0120
    sql = "SELECT reason FROM message WHERE kind = 'SC'"
    [row] = gateway.journal.read_now(lambda conn: list(conn.exec_driver_sql(sql)))
    assert row.reason.startswith("missing_attribute:")


async def test_an_action_that_there_is_not(gateway: LiveGateway) -> None:
    """Another action, or another instance, is refused."""

    def send(action: int, instance: str) -> int:
        with association(port(gateway), StorageCommitmentPushModel) as made:
            status, _ = made.send_n_action(commitment([image()]), action, StorageCommitmentPushModel, instance)
            return int(status.Status)

    assert await apart(send, 2, "1.2.840.10008.1.20.1.1") == 0x0123
    assert await apart(send, 1, generate_uid()) == 0x0112


async def test_so_many_references(gateway: LiveGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request for more objects than are read is refused whole: what its report left out might pass for committed."""
    monkeypatch.setattr("radbridge_adapters.dicom.incoming.commitment.MAX_REFERENCES", 1)

    def send() -> int:
        with association(port(gateway), StorageCommitmentPushModel) as made:
            return int(send_commitment(made, commitment([image(), image()])).Status)

    assert await apart(send) == 0x0213
