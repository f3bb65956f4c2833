"""Drafts out as SR, to DCMTK's storescp, to Orthanc, and to peers that refuse, are silent or aren't there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage
from sqlalchemy import insert

from radbridge.case import CaseKey, Patient
from radbridge.config import Dicom, Site
from radbridge.errors import DeliveryFailed, DeliveryRefused
from radbridge.events import Event
from radbridge.journal import Journal, deliveries
from radbridge.journal.schema import DeliveryState, dicom_instances
from radbridge.wire import Desk, Wire
from radbridge_adapters.dicom.encoding.part10 import read_part10
from radbridge_adapters.dicom.writing import evidence, uids
from radbridge_adapters.dicom.writing.compose import BASIC_TEXT_SR
from radbridge_adapters.dicom.writing.sink import STATUSES, SrSink, max_attempts, say, sr_sinks
from radbridge_adapters.dicom.writing.withdraw import KEY_OBJECT_SELECTION
from radbridge_adapters.hl7v2 import MllpClient, read_control_id
from tests.support import dcmtk
from tests.support.asking import silent
from tests.support.certificates import Authority
from tests.support.dicom_pacs import pacs
from tests.support.drafts import CASE, DRAFT
from tests.support.gateway import free_port
from tests.support.limits import limits_of
from tests.support.live import LiveGateway, live, make_site
from tests.support.orthanc import Orthanc, orthanc
from tests.support.ris import Ris
from tests.support.sr import dsrdump, items

FIRST = "There is a 6 mm nodule in the right upper lobe. The heart is normal."
SECOND = "There is a large left pneumothorax. The heart is normal."


def table(port: int, *, called: str = "STORESCP", **destination: Any) -> dict[str, Any]:
    """`[dicom]` with one destination, `pacs`."""
    return {
        "enabled": False,
        "peers": [{"name": "archive", "ae_title": called, "address": f"127.0.0.1:{port}"}],
        "destinations": [{"name": "pacs", "peer": "archive", "timeout_s": 60} | destination],
    }


def nothing(raw: bytes) -> Sequence[Event]:
    return ()


def outbound(site: Site, desk: Desk) -> Wire:
    """The wire's sinks alone."""
    return Wire(
        name="dicom",
        translate=nothing,
        sinks=sr_sinks(site.dicom, desk.store),
        max_attempts=max_attempts(site.dicom),
    )


@asynccontextmanager
async def sink_to(folder: Path, port: int, **more: Any) -> AsyncIterator[SrSink]:
    """A sink on a journal of its own."""
    journal = await Journal.open(f"sqlite:///{folder}/radbridge.db")
    try:
        [sink] = sr_sinks(Dicom(**table(port, **more)), journal)
        yield sink
    finally:
        await journal.close()


async def send(gateway: LiveGateway, *messages: bytes) -> None:
    """Send as the RIS does."""
    host, port = gateway.addresses["hl7v2"].rsplit(":", 1)
    client = MllpClient(host, int(port), 60, name="ris")
    for message in messages:
        assert (await client.send(message, read_control_id(message))).code == "AA"
    await client.close()


async def of_class(archive: Orthanc, accession: str, sop_class: str) -> list[Any]:
    """What Orthanc has of one class under an accession."""
    found = [
        dcmread(BytesIO(await archive.file(id))) for id in await archive.find("Instance", AccessionNumber=accession)
    ]
    return [one for one in found if sop_class == one.SOPClassUID]


async def until(archive: Orthanc, accession: str, sop_class: str, count: int) -> list[Any]:
    """What Orthanc has, once it has so many."""
    async with asyncio.timeout(60):
        while len(found := await of_class(archive, accession, sop_class)) < count:
            await asyncio.sleep(0.02)
    assert len(found) == count
    return found


async def test_orthanc_gets_draft_and_withdrawal(tmp_path: Path) -> None:
    """A dictated case: its draft lies in Orthanc as an unverified SR; changed findings reject it and bring another."""
    ris = Ris(accession="A600001")
    async with orthanc(tmp_path / "pacs", modalities={"RADBRIDGE": ("RADBRIDGE", 1)}) as archive:
        site = make_site(tmp_path, dicom=table(archive.port, called="ORTHANC"))
        async with live(site, outbound) as gateway:
            await send(gateway, ris.order(), ris.dictated(FIRST))
            [first] = await until(archive, ris.accession, BASIC_TEXT_SR, 1)
            await send(gateway, ris.dictated(SECOND, save=2))
            [note] = await until(archive, ris.accession, KEY_OBJECT_SELECTION, 1)
            both = await until(archive, ris.accession, BASIC_TEXT_SR, 2)
            [second] = [one for one in both if one.SOPInstanceUID != first.SOPInstanceUID]
            await send(gateway, ris.signed("Large left pneumothorax.", SECOND))
            notes = await until(archive, ris.accession, KEY_OBJECT_SELECTION, 2)
    assert (first.PatientID, first.PatientName, first.Modality) == ("900001", "DOE^JANE^Q", "SR")
    assert {one.VerificationFlag for one in (first, second)} == {"UNVERIFIED"}
    assert {one.PreliminaryFlag for one in (first, second)} == {"PRELIMINARY"}
    assert "nodule" in items(first, "121073")[0].TextValue
    assert "pneumothorax" in items(second, "121073")[0].TextValue
    assert note.ContentSequence[-1].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    rejected = {one.ContentSequence[-1].ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in notes}
    assert rejected == {first.SOPInstanceUID, second.SOPInstanceUID}
    assert len({one.StudyInstanceUID for one in (first, second, *notes)}) == 1


@pytest.mark.parametrize("syntax", ["+x=", "+xi"], ids=["any", "implicit"])
async def test_storescp_gets_the_very_object(tmp_path: Path, syntax: str) -> None:
    """Draft and withdrawal arrive valid, also where only implicit VR is taken; sent twice, they are one object each."""
    async with dcmtk.storescp(tmp_path / "in", syntax) as port, sink_to(tmp_path, port) as sink:
        await sink.ping()
        draft, note = sink.compose(CASE, DRAFT, "C1"), sink.compose_withdrawal(CASE, DRAFT, "C2")
        answers = [await sink.deliver(id, payload) for id, payload in (("C1", draft), ("C1", draft), ("C2", note))]
    assert answers == ["0000"] * 3
    files = sorted((tmp_path / "in").iterdir())
    assert {dcmread(file).SOPInstanceUID for file in files} == {
        uids.draft_uid("D1", "pacs"),
        uids.note_uid("C2"),
    }
    assert len(files) == 2
    assert [(await dsrdump(file)).status for file in files] == [0, 0]


async def test_by_tls_both_show_their_certificates(tmp_path: Path) -> None:
    """A storescp that wants a certificate gets the draft; one of another authority than the file names gets nothing."""
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    theirs, ours = authority.issue("pacs"), authority.issue("gateway")
    options = ("+tls", theirs, theirs, "+cf", authority.ca)
    async with dcmtk.storescp(tmp_path / "in", *options) as port:
        for trusted in (authority.ca, stranger.ca):
            settings = table(port) | {"tls": {"cert": ours, "key": ours}}
            settings["peers"][0] |= {"tls": True, "ca_file": trusted}
            journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
            [sink] = sr_sinks(Dicom(**settings), journal)
            payload = sink.compose(CASE, DRAFT, "C1")
            if trusted == authority.ca:
                assert await sink.deliver("C1", payload) == "0000"
            else:
                with pytest.raises(DeliveryFailed) as failed:
                    await sink.deliver("C1", payload)
                assert not failed.value.sent
            await journal.close()
    assert len(list((tmp_path / "in").iterdir())) == 1


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0000, "0000"),
        (0xB000, "B000"),
        (0xB006, "B006"),
        (0x0111, "0111"),
        (0xA700, DeliveryFailed),
        (0x0110, DeliveryFailed),
        (0x0213, DeliveryFailed),
        (0xFE99, DeliveryFailed),
        (0xA900, DeliveryRefused),
        (0xC000, DeliveryRefused),
        (0xC123, DeliveryRefused),
        (0x0122, DeliveryRefused),
        (0x0124, DeliveryRefused),
    ],
)
async def test_each_status_is_taken_for_what_it_is(
    tmp_path: Path, status: int, outcome: str | type[DeliveryFailed | DeliveryRefused]
) -> None:
    """Success and warnings confirm a delivery, a lack of resources is tried again, what isn't understood is refused."""
    with pacs(lambda dataset, so_far: status) as peer:
        async with sink_to(tmp_path, peer.port) as sink:
            payload = sink.compose(CASE, DRAFT, "C1")
            if isinstance(outcome, str):
                assert await sink.deliver("C1", payload) == outcome
            else:
                with pytest.raises(outcome, match=f"{status:04X}"):
                    await sink.deliver("C1", payload)


def test_the_table_of_statuses_has_no_gap_in_it() -> None:
    """Ranges don't overlap, and nothing is both taken and tried again."""
    ordered = sorted(STATUSES, key=lambda one: one.first)
    assert all(one.last < following.first for one, following in pairwise(ordered))
    assert not any(one.taken and one.again for one in STATUSES)
    assert say(0x4711).again


async def test_nobody_there_is_no_attempt(tmp_path: Path) -> None:
    """An absent peer can have seen nothing: the send doesn't count; `ping` says so too."""
    async with sink_to(tmp_path, free_port()) as sink:
        with pytest.raises(DeliveryFailed) as absent:
            await sink.deliver("C1", sink.compose(CASE, DRAFT, "C1"))
        assert not absent.value.sent
        with pytest.raises(DeliveryFailed):
            await sink.ping()


async def test_a_wrong_title_counts(tmp_path: Path) -> None:
    """A peer that rejects the association was there: it is tried again, and given up in the end."""
    with pacs(title="ANOTHER") as peer:
        async with sink_to(tmp_path, peer.port) as sink:
            with pytest.raises(DeliveryFailed) as rejected:
                await sink.deliver("C1", sink.compose(CASE, DRAFT, "C1"))
    assert rejected.value.sent


async def test_a_peer_without_the_class_refuses(tmp_path: Path) -> None:
    """A PACS that takes no Basic Text SR is told of once, not for ever."""
    with pacs(sop_classes=(CTImageStorage,)) as peer:
        async with sink_to(tmp_path, peer.port) as sink:
            with pytest.raises(DeliveryRefused):
                await sink.deliver("C1", sink.compose(CASE, DRAFT, "C1"))


async def test_a_silent_peer_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PACS that takes the connection and never answers holds the delivery for `timeout_s`."""
    limits = limits_of("radbridge_adapters.dicom.network.calling", monkeypatch)
    async with silent(b"", limits.end) as peer, sink_to(tmp_path, peer.port, timeout_s=7) as sink:
        with pytest.raises(DeliveryFailed, match="no answer within 7 s"):
            await asyncio.wait_for(sink.deliver("C1", sink.compose(CASE, DRAFT, "C1")), 60)
    assert peer.connections == 1


async def test_an_absent_pacs_gets_its_draft_once(tmp_path: Path) -> None:
    """The PACS comes up after the draft was made: it is delivered then, one time, with no attempt lost."""
    ris, port = Ris(accession="A600002"), free_port()
    key = CaseKey(accession=ris.accession)

    def delivery(gateway: LiveGateway) -> deliveries.Delivery:
        [one] = gateway.journal.read_now(lambda conn: deliveries.of_case(conn, key))
        return one

    async with live(make_site(tmp_path, dicom=table(port, max_attempts=1)), outbound) as gateway:
        await send(gateway, ris.dictated(FIRST))
        await gateway.until(lambda: gateway.drafts(ris.accession))
        await gateway.until(lambda: delivery(gateway).answer)
        with pacs(port=port) as peer:
            await gateway.until(lambda: delivery(gateway).state is DeliveryState.CONFIRMED)
        assert (delivery(gateway).attempts, delivery(gateway).answer) == (1, "0000")
        assert peer.uids == [uids.draft_uid(delivery(gateway).draft_id, "pacs")]


async def test_a_refusal_waits_for_an_operator(tmp_path: Path) -> None:
    """A draft that the PACS doesn't understand is refused in the outbox, with the status, and never sent again."""
    ris = Ris(accession="A600003")
    with pacs(lambda dataset, so_far: 0xC000) as peer:
        async with live(make_site(tmp_path, dicom=table(peer.port)), outbound) as gateway:
            await send(gateway, ris.dictated(FIRST))
            key = CaseKey(accession=ris.accession)
            await gateway.until(
                lambda: (
                    [
                        (one.state, one.answer, one.attempts)
                        for one in gateway.journal.read_now(lambda conn: deliveries.of_case(conn, key))
                    ]
                    == [(DeliveryState.REFUSED, "the peer answered C000: cannot understand", 1)]
                )
            )


def _rows(count: int, *, series: int) -> list[dict[str, Any]]:
    return [
        {
            "sop_uid": f"1.2.3.{number % series}.{number}",
            "class_uid": CTImageStorage,
            "study_uid": "1.2.3",
            "series_uid": f"1.2.3.{number % series}",
            "accession": "ACC900001",
            "issuer": "RIS",
            "context": "",
            "peer": "",
            "received_at": datetime(2026, 1, 2, tzinfo=UTC),
        }
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize(("count", "named"), [(5, 5), (evidence.AT_MOST + 1, 4)])
async def test_the_sr_names_what_was_taken_in(tmp_path: Path, count: int, named: int) -> None:
    """The evidence is the study's objects in the journal, of a large study the first of each series; no SR of ours."""
    rows = _rows(count, series=4)
    own = rows[0] | {"sop_uid": "1.2.3.9.1", "series_uid": "1.2.3.9", "class_uid": BASIC_TEXT_SR}
    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    try:
        await journal.write(
            lambda conn, items: [conn.execute(insert(dicom_instances), item) for item in items], [*rows, own]
        )
        [sink] = sr_sinks(Dicom(**table(1)), journal)
        case = replace(CASE, study=replace(CASE.study, uid="1.2.3"))
        document = read_part10(sink.compose(case, DRAFT, "C1"))
    finally:
        await journal.close()
    [study] = document.CurrentRequestedProcedureEvidenceSequence
    references = [one for series in study.ReferencedSeriesSequence for one in series.ReferencedSOPSequence]
    assert (study.StudyInstanceUID, len(references)) == ("1.2.3", named)
    assert len(study.ReferencedSeriesSequence) == 4
    assert "1.2.3.9.1" not in {one.ReferencedSOPInstanceUID for one in references}


async def test_a_withdrawal_is_of_what_was_sent(tmp_path: Path) -> None:
    """The case names another patient and study by now: the note still lies beside the draft that it takes back."""
    ris = Ris(accession="A600004")
    with pacs() as peer:
        async with live(make_site(tmp_path, dicom=table(peer.port)), outbound) as gateway:
            await send(gateway, ris.dictated(FIRST))
            key = CaseKey(accession=ris.accession)
            await gateway.until(
                lambda: any(
                    one.state is DeliveryState.CONFIRMED
                    for one in gateway.journal.read_now(lambda conn: deliveries.of_case(conn, key))
                )
            )
            [stored], case = gateway.drafts(ris.accession), gateway.case(ris.accession)
            assert case is not None
            [sink] = sr_sinks(Dicom(**table(peer.port)), gateway.journal)
            moved = replace(case, patient=Patient(id="900002"), study=replace(case.study, uid="1.2.99"))
            note = read_part10(sink.compose_withdrawal(moved, stored.draft, "C9"))
    assert note.PatientID == "900001"
    assert note.StudyInstanceUID == uids.study_uid(key)
    assert note.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID == uids.study_uid(key)
