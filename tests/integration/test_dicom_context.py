"""Orders and dictation by HL7, images and reports of machines by DICOM: one case, whoever was first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from radbridge import config
from radbridge.case import Case
from radbridge.draft import DraftState, FlagKind, StoredDraft
from radbridge.wire import Desk, Received, Wire
from radbridge_adapters import dicom
from radbridge_adapters.dicom.encoding.part10 import read_part10, write_part10
from radbridge_adapters.dicom.incoming.translate import WORKLIST
from radbridge_adapters.hl7v2.framing import encode
from tests.support import sr as ours
from tests.support import sr_specimens as specimens
from tests.support.dcmtk import dcmsend, run, storescu
from tests.support.dicom_scu import STUDY, apart, change, image, mpps_create, mpps_set, save, step, store
from tests.support.live import LiveGateway, live, make_site
from tests.support.ris import Ris

BORN = {"PatientBirthDate": "19700101"}
"""As the RIS says it."""
ORDERS = list(permutations(("order", "report", "images")))
FINDINGS = "There is a 6 mm nodule in the right upper lobe. No effusion."


@dataclass(frozen=True)
class Site:
    """A gateway, its RIS and its modalities."""

    gateway: LiveGateway
    ris: Ris
    desk: Desk

    @property
    def port(self) -> int:
        return int(self.gateway.addresses["dicom"].rpartition(":")[2])

    @property
    def case(self) -> Case | None:
        return self.gateway.case("A1")

    @property
    def drafts(self) -> list[StoredDraft]:
        return self.gateway.drafts("A1")

    async def hear(self, message: bytes) -> None:
        """The RIS says something, and is acknowledged."""
        host, _, port = self.gateway.addresses["hl7v2"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(encode(message))
        answer = await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 60)
        writer.close()
        await writer.wait_closed()
        assert b"MSA|AA|" in answer

    async def see(self, *datasets: Dataset) -> None:
        """A modality or an AI tool stores objects."""
        assert set(await apart(store, self.port, *datasets)) == {0}

    async def until(self, condition: Callable[[], object]) -> None:
        await self.gateway.until(condition)

    def measured(self) -> list[str]:
        return [m.line for m in self.case.measured] if self.case else []


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A gateway with the HL7 and DICOM wires."""
    desks: list[Desk] = []

    def listen(site: config.Site, desk: Desk) -> Wire:
        desks.append(desk)
        return dicom.wire(site, desk)

    async with live(make_site(tmp_path), listen) as gateway:
        yield Site(gateway, Ris(accession="A1"), desks[0])


@pytest.mark.parametrize("first", ["order", "images"])
async def test_order_and_images(site: Site, first: str) -> None:
    """The images say what was done and the RIS who it was done to, whichever came first."""
    taken = image(Modality="CT", BodyPartExamined="NECK", StudyDescription="CT NECK", PatientID="900001 ", **BORN)

    if first == "order":
        await site.hear(site.ris.order())
    outcome = await storescu(site.port, taken)
    assert outcome.status == 0, outcome.output
    if first == "images":
        await site.hear(site.ris.order())
    await site.until(lambda: site.case and site.case.told and site.case.order.procedure.value)
    case = site.case
    assert case is not None
    assert (case.study.uid, case.study.modality) == (STUDY, "CT")
    assert (case.study.body_part, case.study.description) == ("CHEST", "CT CHEST W CONTRAST")
    assert (case.patient.id, case.patient.name, case.patient.sex) == ("900001", "DOE^JANE^Q", "F")


async def test_issuer_on_one_side(site: Site) -> None:
    """An order that names the issuer of its accession and images that don't are of one case."""
    await site.hear(site.ris.order().replace(b"|A1|A1|71260", b"|A1|A1^RIS|71260"))
    await site.until(lambda: site.gateway.case("A1", "RIS"))
    await site.see(image(**BORN))
    await site.until(lambda: (case := site.gateway.case("A1", "RIS")) and case.told)
    assert site.case is None


@pytest.mark.parametrize("order", [order for order in ORDERS if order[0] != "order"], ids="-".join)
async def test_report_of_a_machine_without_an_accession(site: Site, order: tuple[str, ...]) -> None:
    """An AI report that names only its study reaches the case as soon as anything else names both."""
    report, taken = specimens.ai_report(accession=""), image(**BORN)
    sends = {
        "order": lambda: site.hear(site.ris.order()),
        "report": lambda: site.see(report),
        "images": lambda: site.see(taken),
    }
    for what in order:
        await sends[what]()
    await site.until(site.measured)
    assert site.measured() == [
        "[AI: Acme LungScan] 6 mm nodule, right upper lobe",
        "[AI: Acme LungScan] nodule, right upper lobe, volume 113.1 mm3",
        "[AI: Acme LungScan] nodule, right upper lobe, Lung-RADS assessment 4A",
    ]


async def test_later_report_takes_its_place(site: Site) -> None:
    """A later version of an AI report, and the same one again, leave one set of lines."""
    earlier = specimens.ai_report(uid=generate_uid(), mm=6)
    later = specimens.ai_report(uid=generate_uid(), mm=7, predecessors=[earlier])
    await site.see(earlier)
    await site.see(earlier)
    await site.until(site.measured)
    await site.see(later)
    await site.until(lambda: "7 mm" in site.measured()[0])
    assert len(site.measured()) == 3


async def test_two_studies_under_one_accession(site: Site) -> None:
    """Both studies are kept, and nothing contradicts: sides are joined, the first begun tells the modality."""
    left = image(study=f"{STUDY}.1", Modality="DX", BodyPartExamined="HAND", ImageLaterality="L", StudyDescription="")
    right = image(study=f"{STUDY}.2", Modality="CR", BodyPartExamined="HAND", ImageLaterality="R", StudyDescription="")
    right.StudyTime = "111500"
    await site.see(right, left)
    await site.until(lambda: site.case and len(site.case.told) == 2)
    assert site.case is not None
    assert (site.case.study.modality, site.case.study.laterality, site.case.study.body_part) == ("DX", "B", "HAND")


@pytest.mark.parametrize(
    ("charset", "description"), [("GB18030", "胸部CT平扫"), (["", "ISO 2022 IR 87"], "胸部CT"), ("ISO_IR 192", "胸 CT")]
)
async def test_character_sets(site: Site, charset: Any, description: str) -> None:
    """Descriptions in other scripts arrive as they were written."""
    sent = image(SpecificCharacterSet=charset, StudyDescription=description, BodyPartExamined="CHEST")
    outcome = await dcmsend(site.port, sent)
    assert outcome.status == 0, outcome.output
    await site.until(lambda: site.case)
    assert site.case is not None
    assert site.case.study.description == description


@pytest.mark.parametrize(
    ("declared", "written", "read"),
    [
        (b"NO_SUCHSET", "Schädel".encode(), "Schädel"),
        (b"ISO_IR 192", "Schädel ".encode("latin-1"), "Schädel"),
        (b"GB18030   ", b"\xff\xff CT CT", "ÿÿ CT CT"),
    ],
)
async def test_wrong_character_set(site: Site, tmp_path: Path, declared: bytes, written: bytes, read: str) -> None:
    """An object whose character set is unknown, or another one than it says, is taken in and read as well as it can."""
    path = save(image(SpecificCharacterSet="ISO_IR 100", StudyDescription="X" * 8), tmp_path / "wrong.dcm")
    path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", declared).replace(b"X" * 8, written))
    outcome = await run("storescu", "-v", "-aec", "RADBRIDGE", "127.0.0.1", str(site.port), path)
    assert outcome.status == 0, outcome.output
    await site.until(lambda: site.case)
    assert site.case is not None
    assert (site.case.study.description, site.case.patient.id) == (read, "900001")


async def test_procedure_step(site: Site) -> None:
    """A modality's procedure step tells of the study before its images do, and how far it is."""
    uid = generate_uid()
    await apart(mpps_create, site.port, uid, step(**BORN))
    await site.until(lambda: site.case and site.case.told[0].step == "IN PROGRESS")
    await apart(mpps_set, site.port, uid, change("COMPLETED"))
    await site.until(lambda: site.case and site.case.told[0].step == "COMPLETED")
    assert site.case is not None
    assert (site.case.study.modality, site.case.study.uid) == ("CT", STUDY)


async def test_dictated_size_is_none_of_the_measured_ones(site: Site) -> None:
    """A dictated 16 mm against a measured 6 mm is flagged, and the machine's lines stay out of the findings."""
    await site.hear(site.ris.order())
    await site.see(image(**BORN))
    await site.see(specimens.ai_report(mm=6, patient=BORN))
    await site.until(site.measured)
    await site.hear(site.ris.dictated(FINDINGS.replace("6 mm", "16 mm")))
    await site.until(lambda: site.drafts)
    [stored] = site.drafts
    assert stored.state is DraftState.CURRENT
    [flag] = stored.draft.flags
    assert flag.kind == FlagKind.MEASUREMENT
    assert flag.message == "the dictated 16 mm is none of the measured ones (6 mm; AI: Acme LungScan)"
    assert [request.findings for request in site.gateway.model.requests] == [FINDINGS.replace("6 mm", "16 mm")]


async def test_dictated_size_agrees(site: Site) -> None:
    """What machines measured as dictated is no flag."""
    await site.hear(site.ris.order())
    await site.see(specimens.ai_report(mm=6.4, patient=BORN))
    await site.until(site.measured)
    await site.hear(site.ris.dictated(FINDINGS))
    await site.until(lambda: site.drafts)
    assert site.drafts[0].draft.flags == ()


@pytest.mark.parametrize(
    "wrong", [{"PatientID": "900002"}, {"PatientSex": "M"}], ids=["another patient", "another sex"]
)
async def test_mix_up(site: Site, wrong: dict[str, str]) -> None:
    """Images of another patient under the accession keep the draft back."""
    await site.hear(site.ris.order())
    await site.see(image(**BORN | wrong))
    await site.until(lambda: site.case and site.case.told)
    await site.hear(site.ris.dictated(FINDINGS))
    await site.until(lambda: site.drafts)
    [stored] = site.drafts
    assert stored.state is DraftState.BLOCKED
    assert FlagKind.CONTRADICTION in {flag.kind for flag in stored.draft.flags}


async def test_worklist_of_another_patient(site: Site, tmp_path: Path) -> None:
    """What a worklist says of the accession is never over the RIS's word: another patient there is a mix-up."""
    listed = image(PatientID="900002", PatientName="ROE^JOHN", PatientSex="M")
    received = Received(
        wire="dicom",
        peer="worklist",
        sender="scu",
        control_id="question",
        kind="MWL",
        accession="A1",
        raw=write_part10(listed, WORKLIST, generate_uid()),
        ack=b"",
    )
    await site.hear(site.ris.order())
    await site.desk.accept(received)
    await site.until(lambda: site.case and site.case.told)
    await site.hear(site.ris.dictated(FINDINGS))
    await site.until(lambda: site.drafts)
    assert site.drafts[0].state is DraftState.BLOCKED
    assert site.case is not None
    assert (site.case.patient.id, site.case.patient.sex) == ("900001", "F")


async def test_report_about_another_patient(site: Site) -> None:
    """An AI report of another patient under the accession is a mix-up, too."""
    await site.hear(site.ris.order())
    await site.see(specimens.ai_report(patient={"PatientID": "900002"}, laterality=Code("24028007", "SCT", "Right")))
    await site.until(site.measured)
    await site.hear(site.ris.dictated(FINDINGS))
    await site.until(lambda: site.drafts)
    assert site.drafts[0].state is DraftState.BLOCKED


async def test_our_own_draft_comes_back(site: Site) -> None:
    """A PACS that sends our drafts back to us tells us nothing by it."""
    await site.see(image(**BORN))
    await site.until(lambda: site.case)
    before = site.case
    own = ours.COMPOSER.compose(*ours.SHAPES["full"])
    document = read_part10(own)
    document.AccessionNumber = "A1"
    await site.see(document, image("A9"))
    await site.until(lambda: site.gateway.case("A9"))
    assert site.case == before
