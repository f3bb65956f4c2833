"""Order and dictation by HL7, images and measurements by DICOM: the draft goes out flagged by MLLP and as SR."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
import pytest_asyncio
from hl7.client import MLLPClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import MRImageStorage, generate_uid

from tests.support.dicom_pacs import BASIC_TEXT_SR, KEY_OBJECT_SELECTION
from tests.support.dicom_scu import STUDY, apart, change, image, mpps_create, mpps_set, step
from tests.support.dictation import Dictation, listening
from tests.support.gateway import GatewayProcess
from tests.support.orthanc import Orthanc, orthanc
from tests.support.ris import Ris
from tests.support.sr import dsrdump, items
from tests.support.sr_specimens import ai_report

pytestmark = pytest.mark.asyncio(loop_scope="module")

BORN = "19700101"
KNEE = Code("72696002", "SCT", "Knee")
WRONG_SIDE = "There is a 16 mm nodule in the left knee. The menisci are intact."
SIGNED = "6 mm nodule in the right knee."


@dataclass(frozen=True, kw_only=True)
class House:
    """A hospital: its RIS speaks for itself, its PACS is Orthanc, its dictation system python-hl7."""

    gateway: GatewayProcess
    pacs: Orthanc
    dictation: Dictation

    async def send(self, *messages: bytes) -> None:
        """HL7 messages, each acknowledged."""

        def talk() -> list[bytes]:
            with MLLPClient("127.0.0.1", self.gateway.hl7_port) as client:
                return [client.send_message(message) for message in messages]

        assert all(b"MSA|AA|" in said for said in await asyncio.to_thread(talk))

    async def send_objects(self, *datasets: Dataset) -> None:
        """DICOM objects, by way of the PACS, and until they are applied."""
        ids = [await self.pacs.add(dataset) for dataset in datasets]
        sent = await self.pacs.send("RADBRIDGE", *ids)
        assert (sent["InstancesCount"], sent["FailedInstancesCount"]) == (len(ids), 0)
        await self.settled()

    async def settled(self) -> None:
        """Return when nothing waits to be applied."""
        await self.gateway.until("SELECT count(*) FROM message WHERE state = 'accepted'", 0)

    async def of_class(self, accession: str, sop_class: str, count: int) -> list[Any]:
        """What the PACS has of one class under an accession, once it has so many."""
        async with asyncio.timeout(60):
            while True:
                ids = await self.pacs.find("Instance", AccessionNumber=accession)
                found = [dcmread(BytesIO(await self.pacs.file(id))) for id in ids]
                kept = [one for one in found if one.SOPClassUID == sop_class]
                if len(kept) >= count:
                    return kept
                await asyncio.sleep(0.05)

    def assert_silent(self) -> None:
        """Rule 5: no name, record number, birth date, accession or text of these cases stands in the log."""
        for secret in ("DOE", "JANE", "900001", "900002", BORN, "nodule", "A70000"):
            assert secret not in self.gateway.log, secret

    async def command(self, *words: str) -> str:
        """What a command says about this journal."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "radbridge", *words, "--config", str(self.gateway.config)),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0
        return " ".join(said.decode().replace("│", " ").split())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with listening() as dictation:
        gateway = GatewayProcess(tmp_path_factory.mktemp("gateway"), [dictation.port])
        known = {"RADBRIDGE": ("RADBRIDGE", gateway.dicom_port)}
        async with orthanc(tmp_path_factory.mktemp("pacs"), modalities=known) as pacs:
            gateway.dicom = (
                "association_timeout_s = 600.0\nidle_timeout_s = 600.0\n"
                f'[[dicom.peers]]\nname = "pacs"\nae_title = "ORTHANC"\naddress = "127.0.0.1:{pacs.port}"\n'
                '[[dicom.peers]]\nname = "mr1"\nae_title = "MODALITY"\n'
                '[[dicom.destinations]]\nname = "archive"\npeer = "pacs"\ntimeout_s = 300.0\n'
            )
            await gateway.start()
            yield House(gateway=gateway, pacs=pacs, dictation=dictation)
            assert await gateway.stop() == 0


def of_the_knee(message: bytes) -> bytes:
    """The RIS's message, of an MR of the right knee."""
    ordered = message.replace(b"71260^CT CHEST W CONTRAST^C4", b"73721^MR KNEE RIGHT WO CONTRAST^C4")
    return ordered.replace(b"|CT|", b"|MR|")


def slices(accession: str, study: str, *, patient: str = "900001") -> list[Dataset]:
    """Three images of a right knee."""
    return [
        image(
            accession,
            study=study,
            sop_class=MRImageStorage,
            Modality="MR",
            BodyPartExamined="KNEE",
            Laterality="R",
            StudyDescription="MR KNEE RIGHT",
            PatientID=patient,
            PatientBirthDate=BORN,
            InstanceNumber=number,
        )
        for number in (1, 2, 3)
    ]


async def test_a_wrong_side_travels_with_its_flags(house: House) -> None:
    """The right knee is ordered, examined and measured, the left one dictated with another size: both sinks say so.

    Our own SR, sent back by the PACS, changes nothing. Signed, the draft is taken back from both.
    """
    ris, study = Ris(accession="A700001"), f"{STUDY}.1"
    images = slices(ris.accession, study)
    await house.send(of_the_knee(ris.order()))
    step_uid = generate_uid()
    begun = await apart(
        mpps_create, house.gateway.dicom_port, step_uid, step([ris.accession], study=study, PatientBirthDate=BORN)
    )
    await house.send_objects(*images)
    ended = await apart(mpps_set, house.gateway.dicom_port, step_uid, change("COMPLETED"))
    assert (begun.Status, ended.Status) == (0, 0)
    measured = ai_report(accession=ris.accession, study=study, mm=6.0, uid=generate_uid(), site=KNEE)
    measured.PatientBirthDate = BORN
    await house.send_objects(measured)

    await house.send(of_the_knee(ris.dictated(WRONG_SIDE)))
    await house.dictation.until(1, ris.accession)
    [message] = house.dictation.of(ris.accession)
    assert str(message.segment("OBR")[25]) == "R"
    told = [str(note[3]) for note in message.segments("NTE")]
    assert any("laterality" in one and "right knee" in one for one in told), told
    assert any("measurement" in one and "16 mm" in one and "LungScan" in one for one in told), told

    [report] = await house.of_class(ris.accession, BASIC_TEXT_SR, 1)
    assert (report.StudyInstanceUID, report.PatientID) == (study, "900001")
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        "PARTIAL",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    assert "left knee" in items(report, "121073")[0].TextValue
    comments = [item.TextValue for item in items(report, "121106")]
    assert comments[1:] == [f"AI draft, unverified: {one}" for one in told]
    [evidence] = report.CurrentRequestedProcedureEvidenceSequence
    named = {r.ReferencedSOPInstanceUID for s in evidence.ReferencedSeriesSequence for r in s.ReferencedSOPSequence}
    assert named == {one.SOPInstanceUID for one in (*images, measured)}
    path = house.gateway.folder / "sr.dcm"
    report.save_as(path)
    shown = await dsrdump(path)
    assert shown.status == 0
    assert not [one for one in shown.output.splitlines() if one.startswith(("W:", "E:", "F:"))], shown.output

    [sent_back] = await house.pacs.find("Instance", SOPInstanceUID=report.SOPInstanceUID)
    await house.pacs.send("RADBRIDGE", sent_back)
    await house.settled()
    assert house.gateway.query("SELECT state FROM draft WHERE accession = 'A700001'") == [("current",)]

    await house.send(of_the_knee(ris.signed(SIGNED, WRONG_SIDE)))
    [note] = await house.of_class(ris.accession, KEY_OBJECT_SELECTION, 1)
    assert note.ContentSequence[-1].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == report.SOPInstanceUID
    await house.dictation.until(2, ris.accession)
    assert {str(s[11]) for s in house.dictation.of(ris.accession)[1].segments("OBX")} == {"D"}
    house.assert_silent()


async def test_another_patients_images_keep_the_draft_back(house: House) -> None:
    """The images under the accession are another patient's: the draft is blocked, and nobody gets it."""
    ris = Ris(accession="A700002")
    await house.send(of_the_knee(ris.order()))
    await house.send_objects(*slices(ris.accession, f"{STUDY}.2", patient="900002"))
    await house.send(of_the_knee(ris.dictated(WRONG_SIDE.replace("left", "right"))))
    await house.gateway.until("SELECT state FROM draft WHERE accession = 'A700002'", "blocked")
    assert house.gateway.query("SELECT count(*) FROM delivery WHERE accession = 'A700002'") == [(0,)]
    assert house.dictation.of(ris.accession) == []
    assert await house.of_class(ris.accession, BASIC_TEXT_SR, 0) == []
    assert "blocked: kept back by the guard: contradiction" in await house.command("show", ris.accession)
    assert "A700002" in await house.command("problems")
    house.assert_silent()
