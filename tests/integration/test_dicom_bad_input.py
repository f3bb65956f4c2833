"""Callers that are no DICOM, lie or break off: the right status or abort, and the listener lives."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from radbridge.errors import JournalError
from radbridge_adapters.dicom.network import status
from radbridge_adapters.dicom.network.dimse import CommandField, encode
from radbridge_adapters.dicom.network.pdu import PduType
from tests.support.dicom_peer import (
    ABORT,
    ABORT_PDU,
    COMMITMENT,
    CT,
    ECHO_RQ,
    EXPLICIT,
    IMPLICIT,
    RELEASE_RQ,
    VERIFICATION,
    Notes,
    Peer,
    associate_rq,
    associated,
    listening,
    message,
    store_rq,
)


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    if vr in (b"SQ", b"OW", b"UN"):
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


HEADER = element(0x00080018, b"UI", b"1.2.3.4\0") + element(0x00100020, b"LO", b"900001")
IMAGE = HEADER + element(0x7FE00010, b"OW", bytes(5000))


async def is_alive(port: int) -> bool:
    async with associated(port) as peer:
        return await peer.status(ECHO_RQ) == status.SUCCESS


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (b"\x0bMSH|^~\\&|A|B\r\x1c\r", "HL7"),
        (b"SSH-2.0-scan\r\n", "SSH"),
    ],
)
async def test_scanners_are_aborted_and_named(sent: bytes, kind: str) -> None:
    """What speaks another protocol gets an A-ABORT `unrecognized PDU`, and the log says which one it was."""
    async with listening() as (_, port):
        with capture_logs() as logs:
            peer = await Peer.connect(port)
            assert await peer.ask(sent) == (ABORT, b"\0\0\2\1")
            await peer.close()
        assert {"event": "not_dicom", "looks_like": kind}.items() <= logs[0].items()
        assert await is_alive(port)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (ECHO_RQ, 2),
        (RELEASE_RQ, 2),
        (struct.pack(">BxI", 1, 1 << 30), 6),
        (struct.pack(">BxI", 1, 10) + bytes(10), 6),
        (associate_rq(max_pdu=7), 6),
        (struct.pack(">BxI", 2, 4) + bytes(4), 2),
        (b"\x09\0\0\0\0\4", 1),
    ],
)
async def test_what_may_not_come_first_is_aborted(sent: bytes, reason: int) -> None:
    """Before the A-ASSOCIATE-RQ, nothing else is taken, and no absurd length is waited for."""
    async with listening() as (_, port):
        peer = await Peer.connect(port)
        assert await peer.ask(sent) == (ABORT, bytes((0, 0, 2, reason)))
        await peer.close()
        assert await is_alive(port)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (associate_rq(), 2),
        (message(store_rq(), context=99), 6),
        (message(b"\1\2\3"), 6),
        (message(encode([(2, CT), (0x100, 1), (0x800, 0)])), 6),
        (struct.pack(">BxI", 4, 1 << 20), 6),
        (struct.pack(">BxI", 4, 0), 6),
        (struct.pack(">BxIIBB", 4, 6, 900, 1, 3), 6),
        (message(store_rq()) + message(store_rq()), 2),
        (message(store_rq()) + RELEASE_RQ, 2),
        (message(store_rq()) + message(b"", b"", context=3)[12:], 2),
    ],
)
async def test_messages_out_of_order_are_aborted(sent: bytes, reason: int) -> None:
    """Inside an association, what can't come now or can't be read ends it with the standard's reason."""
    async with listening() as (_, port):
        async with associated(port) as peer:
            assert await peer.ask(sent) == (ABORT, bytes((0, 0, 2, reason)))
        assert await is_alive(port)


async def test_aborts_at_every_step_leave_the_listener_alive() -> None:
    """However many bytes of a good conversation come before the peer leaves, the listener lives."""
    whole = associate_rq() + message(store_rq(), IMAGE[:300]) + ECHO_RQ + RELEASE_RQ
    async with listening() as (listener, port):
        for cut in range(0, len(whole), 7):
            peer = await Peer.connect(port)
            peer.writer.write(whole[:cut] + (ABORT_PDU if cut % 2 else b""))
            await peer.writer.drain()
            await peer.close()
        assert await is_alive(port)
        async with asyncio.timeout(60):
            while listener.connections:
                await asyncio.sleep(0.01)


async def test_an_object_that_breaks_off_is_kept_as_such() -> None:
    """Aborted or closed in mid-object: what was read of its header is handed on with the reason."""
    for ending in (ABORT_PDU, b""):
        notes = Notes()
        async with listening(notes) as (_, port), associated(port) as peer:
            peer.writer.write(message(store_rq(), IMAGE)[:700] + ending)
            await peer.writer.drain()
            await peer.close()
            async with asyncio.timeout(60):
                await notes.came.wait()
        (request, reason), *others = notes.abandonings
        assert (reason, request.header.elements, others) == ("aborted", HEADER, [])
        assert notes.requests == []


FAULTY = [
    (EXPLICIT, HEADER + b"\x10\x00\x30\x00??\x08\x0020260101", "not_dicom"),
    (EXPLICIT, IMAGE[:20], "truncated"),
    (EXPLICIT, element(0x00081140, b"SQ", b"\xfe\xff\x00\xe0\xff\x00\x00\x00" + HEADER), "truncated"),
    (EXPLICIT, element(0x00081140, b"SQ", HEADER), "bad_length"),
    (EXPLICIT, (b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff") * 3000, "too_deep"),
    (EXPLICIT, b"".join(element(0x00100000 + n, b"LT", b"x" * 60000) for n in range(1, 4)), "header_too_big"),
    ("1.2.840.10008.1.2.1.99", b"\xff" * 300, "deflate"),
]


@pytest.mark.parametrize(("syntax", "data_set", "reason"), FAULTY, ids=[reason for *_, reason in FAULTY])
async def test_a_data_set_that_cannot_be_read_gets_its_status(syntax: str, data_set: bytes, reason: str) -> None:
    """The peer is told by the table's status, the reason is kept, and the association goes on."""
    notes = Notes()
    async with (
        listening(notes, max_header_bytes=100_000) as (_, port),
        associated(port, CT, VERIFICATION, syntaxes=(syntax,)) as peer,
    ):
        assert await peer.status(message(store_rq(), data_set)) == status.STORE_FAULTS[reason]
        assert await peer.status(message(store_rq(), b"")) == status.SUCCESS
    assert [why for _, why in notes.abandonings] == [reason]
    assert len(notes.requests) == 1


async def test_implicit_vr_with_odd_lengths_is_taken() -> None:
    """What many vendors send wrongly is no reason to refuse."""
    notes = Notes()
    raw = struct.pack("<HHI", 0x8, 0x50, 3) + b"A12" + struct.pack("<HHI", 0x20, 0xD, 5) + b"1.2.3"
    async with listening(notes) as (_, port), associated(port, syntaxes=(IMPLICIT,)) as peer:
        assert await peer.status(message(store_rq(), raw)) == status.SUCCESS
    assert notes.requests[0].header.note == "odd_length"
    assert notes.requests[0].header.uid(0x0020000D) == "1.2.3"


@pytest.mark.parametrize("error", [JournalError(), ValueError("DOE^JANE")])
async def test_a_failing_intake_never_gets_a_success(error: Exception) -> None:
    """When nothing could be committed the sender keeps its object; a bug is told as one, and quotes nothing."""
    expected = status.OUT_OF_RESOURCES if isinstance(error, JournalError) else status.PROCESSING_FAILURE
    with capture_logs() as logs:
        async with listening(Notes(error=error)) as (_, port), associated(port) as peer:
            assert await peer.status(message(store_rq(), IMAGE)) == expected
            assert await peer.status(ECHO_RQ) == status.SUCCESS
    assert "DOE" not in str(logs)


@pytest.mark.parametrize(
    ("field", "context"), [(0x0020, 1), (0x0021, 1), (0x0010, 1), (0x0150, 1), (0x0222, 1), (1, 3), (0x30, 1)]
)
async def test_an_operation_that_the_class_has_not_is_refused(field: int, context: int) -> None:
    """C-FIND, C-MOVE, C-GET, N-DELETE, C-STORE on Verification: 0x0211, with and without a data set."""
    async with listening() as (_, port), associated(port) as peer:
        for data in (None, IMAGE):
            sent = message(store_rq(field=field, data=data is not None), data, context=context)
            response = await peer.request(sent)
            assert response[0x900] == status.UNRECOGNIZED_OPERATION.to_bytes(2, "little")
            assert response[0x100] == (field | 0x8000).to_bytes(2, "little")
            assert response[0x120] == b"\7\0"


async def test_a_cancel_is_passed_over() -> None:
    """C-CANCEL has no response (PS3.7 9.3.2.3)."""
    cancel = encode([(0x100, CommandField.C_CANCEL), (0x120, 1), (0x800, 0x0101)])
    async with listening() as (_, port), associated(port) as peer:
        assert await peer.status(message(cancel) + ECHO_RQ) == status.SUCCESS


async def test_pipelined_requests_are_answered_in_order() -> None:
    """A peer that doesn't wait for answers gets them all the same, one after the other."""
    notes = Notes()
    async with listening(notes) as (_, port), associated(port) as peer:
        peer.writer.write(b"".join(message(store_rq(instance=f"1.2.{n}"), IMAGE) for n in range(40)) + RELEASE_RQ)
        kinds = [(await peer.read())[0] for _ in range(41)]
    assert kinds == [PduType.DATA] * 40 + [PduType.RELEASE_RP]
    assert [request.sop_instance for request in notes.requests] == [f"1.2.{n}" for n in range(40)]


def resident_kib() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


async def test_a_huge_object_costs_no_memory() -> None:
    """Of an object of 256 MiB that is streamed in, the process keeps none: it grows by under 16 MiB."""
    notes = Notes()
    async with listening(notes) as (_, port), associated(port) as peer:
        block = bytes(16378)
        head = HEADER + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 0xFFFFFFFF)
        pdu = struct.pack(">BxIIBB", 4, len(block) + 6, len(block) + 2, 1, 0) + block
        peer.writer.write(message(store_rq()) + struct.pack(">BxIIBB", 4, len(head) + 6, len(head) + 2, 1, 0) + head)
        await peer.writer.drain()
        before = resident_kib()
        for _ in range(1024):
            peer.writer.write(pdu * 16)
            await peer.writer.drain()
        assert await peer.status(struct.pack(">BxIIBB", 4, 6, 2, 1, 2)) == status.SUCCESS
        assert resident_kib() - before < 16 * 1024
    assert notes.requests[0].header.size == len(head) + 1024 * 16 * len(block)
    assert notes.requests[0].header.elements == HEADER


async def test_an_event_report_that_nobody_answers_is_told() -> None:
    """When the peer leaves before it acknowledged a report, the services know."""
    from radbridge_adapters.dicom.network.services import Event

    event = Event(type=2, sop_class=COMMITMENT, sop_instance="1.2.840.10008.1.20.1.1", dataset=HEADER)
    action = encode([(3, COMMITMENT), (0x100, 0x130), (0x110, 1), (0x800, 0), (0x1001, "1.2"), (0x1008, 1)])
    for answered in (True, False):
        notes = Notes(event=event)
        async with listening(notes) as (listener, port):
            async with associated(port, COMMITMENT) as peer:
                assert await peer.status(message(action, HEADER)) == status.SUCCESS
                report = await peer.request(b"")
                assert report[0x100] == b"\0\1"
                assert await peer.read() == (PduType.DATA, struct.pack(">IBB", len(HEADER) + 2, 1, 2) + HEADER)
                response = encode([(0x100, 0x8100), (0x120, 1), (0x800, 0x0101), (0x900, 0)])
                sent = (message(response) if answered else b"") + RELEASE_RQ
                assert (await peer.ask(sent))[0] == PduType.RELEASE_RP
            async with asyncio.timeout(60):
                while listener.connections:
                    await asyncio.sleep(0.01)
        assert notes.unreported_events == ([] if answered else [event])
