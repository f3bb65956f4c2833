"""Our calls to peers that behave, that refuse, and that behave badly: every call ends in time and leaves nothing."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, evt

from radbridge.config import Dicom
from radbridge.errors import ConfigError, DeliveryFailed, DeliveryRefused
from radbridge_adapters.dicom.encoding.part10 import write_part10
from radbridge_adapters.dicom.network.scu import VERIFICATION, Scu
from radbridge_adapters.dicom.network.services import Event
from tests.support.asking import SERVERS_LEAK, Silent, loose, peer, serving, silent
from tests.support.certificates import Authority
from tests.support.dcmtk import storescp
from tests.support.gateway import free_port
from tests.support.limits import limits_of

pytestmark = pytest.mark.filterwarnings(SERVERS_LEAK)
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
COMMITMENT = "1.2.840.10008.1.20.1"
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
ACCEPTED = struct.pack(">BBIHH16s16s32s", 2, 0, 68, 1, 0, b"PACS".ljust(16), b"RADBRIDGE".ljust(16), b"")
"""An A-ASSOCIATE-AC without a single item."""


def scu(port: int, ae_title: str = "PACS", **more: Any) -> Scu:
    return Scu.of(Dicom.model_validate({"peers": [peer(port, ae_title) | more]}), "pacs")


def held() -> tuple[int, int]:
    """Open descriptors and threads."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def report() -> bytes:
    item, made = Dataset(), Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = BASIC_TEXT_SR, "1.2.3.4"
    made.PatientName = "MÜLLER^李"
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "121073", "DCM", "Impression"
    made.ConceptNameCodeSequence = [item]
    return write_part10(made, BASIC_TEXT_SR, "1.2.3.4")


@contextmanager
def archive(*syntaxes: str, status: int = 0) -> Iterator[tuple[int, list[Dataset]]]:
    """A pynetdicom server that stores; its port and what it got."""
    got: list[Dataset] = []

    def store(event: evt.Event) -> int:
        got.append(event.dataset)
        return status

    ae = AE("PACS")
    ae.require_called_aet = True
    ae.add_supported_context(VERIFICATION)
    ae.add_supported_context(BASIC_TEXT_SR, list(syntaxes) or None)
    with serving(ae, (evt.EVT_C_STORE, store)) as port:
        yield port, got


@pytest.mark.parametrize("syntaxes", [(), (ImplicitVRLittleEndian,)], ids=["any", "implicit"])
async def test_store(syntaxes: tuple[str, ...]) -> None:
    """An object arrives whole, also where the peer takes its class only in implicit VR; its status comes back."""
    with archive(*syntaxes, status=0xB000) as (port, got):
        assert await scu(port).store(report(), timeout_s=60) == 0xB000
    assert str(got[0].PatientName) == "MÜLLER^李"
    assert got[0].ConceptNameCodeSequence[0].CodeMeaning == "Impression"


async def test_store_to_dcmtk(tmp_path: Path) -> None:
    """DCMTK's storescp takes it, by many small PDUs too."""
    async with storescp(tmp_path / "got", "--max-pdu", "4096") as port:
        assert await scu(port, "STORESCP").store(report(), timeout_s=60) == 0
    assert len(list((tmp_path / "got").iterdir())) == 1


async def test_find_in_parts() -> None:
    """Answers are read in order, and after as many as were asked for the peer is let go."""
    answers = []
    for number in range(30):
        answer = Dataset()
        answer.StudyInstanceUID, answer.StudyDescription = f"1.2.{number}", "CT " * 20
        answers.append(answer)
    query = Dataset()
    query.QueryRetrieveLevel, query.PatientID = "STUDY", "900001"
    with loose(STUDY_ROOT, *answers) as pacs:
        found = await scu(pacs.port).find(STUDY_ROOT, query, timeout_s=60)
        assert [answer.StudyInstanceUID for answer in found] == [f"1.2.{n}" for n in range(30)]
        assert len(await scu(pacs.port).find(STUDY_ROOT, query, timeout_s=60, at_most=3)) == 3
        pacs.status = 0xA700
        with pytest.raises(DeliveryFailed, match="status A700"):
            await scu(pacs.port).find(STUDY_ROOT, query, timeout_s=60)


async def test_tls(tmp_path: Path) -> None:
    """By TLS only a peer of the named authority is spoken with, and it is shown our certificate."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    ours, theirs = authority.issue("radbridge"), authority.issue("pacs")
    own = {"cert": str(ours), "key": str(ours)}
    async with storescp(tmp_path / "got", "+tls", theirs, theirs, "+cf", authority.ca) as port:
        trusted, foreign = (
            peer(port, "STORESCP") | {"tls": True, "ca_file": str(ca)} for ca in (authority.ca, other.ca)
        )
        good, stranger, unknown = (
            Scu.of(Dicom.model_validate({"peers": [one], "tls": tls}), "pacs")
            for one, tls in ((trusted, own), (foreign, own), (trusted, None))
        )
        await good.echo(timeout_s=60)
        with pytest.raises(DeliveryFailed, match="no TLS with the peer") as caught:
            await stranger.echo(timeout_s=60)
        assert not caught.value.sent
        with pytest.raises(DeliveryFailed):
            await unknown.echo(timeout_s=60)


def test_a_bad_certificate_is_told_at_once(tmp_path: Path) -> None:
    """A certificate that can't be read is an error of the config."""
    with pytest.raises(ConfigError, match=r"'pacs': a certificate.*FileNotFoundError.*none\.pem"):
        scu(1, tls=True, ca_file=str(tmp_path / "none.pem"))


async def test_nobody_listens() -> None:
    """A closed port counts as nobody reached."""
    with pytest.raises(DeliveryFailed, match=r"nobody listens at 127\.0\.0\.1:\d+ \(ECONNREFUSED\)") as caught:
        await scu(free_port()).echo(timeout_s=60)
    assert not caught.value.sent


async def test_refusals() -> None:
    """A rejected association says why; a class that the peer doesn't take is refused for good."""
    with archive() as (port, _):
        with pytest.raises(DeliveryFailed, match="called something else; see the peer's ae_title") as caught:
            await scu(port, "OTHER").echo(timeout_s=60)
        assert caught.value.sent
        with pytest.raises(DeliveryRefused, match="doesn't take the SOP class"):
            await scu(port).find(STUDY_ROOT, Dataset(), timeout_s=60)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"\x02\x00\xff\xff\xff\xff" + bytes(5000), "no DICOM"),
        (b"\x04\x00\xff\xff\xff\xff", "no DICOM"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no DICOM"),
        (b"\x02\x00\x00\x00\x00\x50" + b"\xff" * 80, "no DICOM|doesn't take"),
        (ACCEPTED, "doesn't take the SOP class"),
        (b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02", "rejected the association: too many associations there"),
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00", "aborted the association"),
        (b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00", "no DICOM|something else"),
    ],
)
async def test_bad_peers(said: bytes, told: str) -> None:
    """A peer that says nonsense costs its call and no socket."""
    before = held()
    async with silent(said) as bad:
        with pytest.raises((DeliveryFailed, DeliveryRefused), match=told):
            await scu(bad.port).echo(timeout_s=60)
        await gone(bad)
    await let_go(before)


@pytest.mark.parametrize("said", [b"", b"\x02\x00\x00", ACCEPTED[:40]])
async def test_half_an_answer(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that says half a thing and nothing more costs the time limit, and no socket."""
    before, limits = held(), limits_of("radbridge_adapters.dicom.network.calling", monkeypatch)
    async with silent(said, limits.end) as bad:
        with pytest.raises(DeliveryFailed, match="no answer within 60 s"):
            await scu(bad.port).echo(timeout_s=60)
        await gone(bad)
    await let_go(before)


async def let_go(before: tuple[int, int]) -> None:
    """Wait until no more is held than before; what an earlier test had left may be gone by now, too."""
    async with asyncio.timeout(60):
        while any(now > was for now, was in zip(held(), before, strict=True)):
            await asyncio.sleep(0.005)


async def gone(peer: Silent) -> None:
    """Wait until nobody is connected to it."""
    async with asyncio.timeout(60):
        while peer.open:
            await asyncio.sleep(0.005)


async def test_a_cancelled_call_leaves_nothing() -> None:
    """A call that is cancelled closes its connection at once."""
    async with silent() as bad:
        calling = asyncio.create_task(scu(bad.port).echo(timeout_s=60))
        async with asyncio.timeout(60):
            while not bad.open:
                await asyncio.sleep(0.005)
            calling.cancel()
            while bad.open:
                await asyncio.sleep(0.005)
    assert calling.cancelled()


@pytest.mark.parametrize("granted", [True, False])
async def test_report(granted: bool) -> None:
    """An event is reported in the role of SCP, to a peer that grants it; another one is a refusal."""
    heard: list[tuple[int | None, Dataset]] = []

    def take(event: evt.Event) -> tuple[int, None]:
        heard.append((event.event_type, event.event_information))
        return 0, None

    ae = AE("PACS")
    ae.add_supported_context(COMMITMENT, scu_role=True if granted else None, scp_role=True if granted else None)
    information = bytes.fromhex("08009511 08000000") + b"1.2.3.4\0"
    event = Event(type=2, sop_class=COMMITMENT, sop_instance=f"{COMMITMENT}.1", dataset=information)
    with serving(ae, (evt.EVT_N_EVENT_REPORT, take)) as port:
        reporting = scu(port).report(event, ImplicitVRLittleEndian, timeout_s=60)
        if granted:
            assert await reporting == 0
            assert [(kind, told.TransactionUID) for kind, told in heard] == [(2, "1.2.3.4")]
        else:
            with pytest.raises(DeliveryRefused, match="doesn't let us be SCP"):
                await reporting
