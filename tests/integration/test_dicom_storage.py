"""Objects stored by DCMTK, pynetdicom and Orthanc: what they say is kept, their pixels are not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    EncapsulatedPDFStorage,
    EnhancedCTImageStorage,
    JPEG2000Lossless,
    generate_uid,
)

from radbridge_adapters import dicom
from radbridge_adapters.dicom.encoding.part10 import read_part10
from tests.support.dcmtk import dcmsend, storescu
from tests.support.dicom_scu import STUDY, apart, image, store, store_as
from tests.support.live import LiveGateway, live, make_site
from tests.support.orthanc import orthanc


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[LiveGateway]:
    """A gateway with the DICOM wire."""
    async with live(make_site(tmp_path), dicom.wire) as made:
        yield made


def port(gateway: LiveGateway) -> int:
    return int(gateway.addresses["dicom"].rpartition(":")[2])


def rows(gateway: LiveGateway, sql: str) -> list[Any]:
    return gateway.journal.read_now(lambda conn: list(conn.exec_driver_sql(sql)))


def messages(gateway: LiveGateway) -> list[Dataset]:
    return [read_part10(row.raw) for row in rows(gateway, "SELECT raw FROM message WHERE wire = 'dicom' ORDER BY id")]


def instances(gateway: LiveGateway) -> set[str]:
    return {row.sop_uid for row in rows(gateway, "SELECT sop_uid FROM dicom_instance")}


@pytest.mark.parametrize(
    "options", [["-xe"], ["-xi"], ["-xb"], ["-xd"]], ids=["explicit", "implicit", "big", "deflated"]
)
async def test_every_way_of_writing_elements(gateway: LiveGateway, options: list[str]) -> None:
    """An image sent by storescu is kept without pixels, however its elements are encoded."""
    sent = image(ContrastBolusAgent="Iohexol")
    outcome = await storescu(port(gateway), sent, options=options)
    assert outcome.status == 0, outcome.output
    assert instances(gateway) == {sent.SOPInstanceUID}
    [kept] = messages(gateway)
    assert kept.AccessionNumber == "A1"
    assert "PixelData" not in kept
    await gateway.until(lambda: gateway.case("A1"))
    case = gateway.case("A1")
    assert case is not None
    assert (case.study.modality, case.study.body_part, case.study.contrast) == ("CT", "CHEST", "with")


async def test_compressed_pixels_are_never_decoded(gateway: LiveGateway) -> None:
    """An image whose pixels are compressed, even wrongly, is taken in: nobody looks at them."""
    sent = image(PixelData=encapsulate([b"\xff\x4f no codestream"]))
    sent.file_meta = FileMetaDataset()
    sent.file_meta.TransferSyntaxUID = JPEG2000Lossless
    sent["PixelData"].VR = "OB"
    outcome = await dcmsend(port(gateway), sent, options=["-dn"])
    assert outcome.status == 0, outcome.output
    assert instances(gateway) == {sent.SOPInstanceUID}


async def test_a_series_is_many_rows_and_one_message(gateway: LiveGateway) -> None:
    """Each slice has its row; what they all say is journaled and applied once."""
    series = [image(InstanceNumber=n) for n in range(30)]
    outcome = await dcmsend(port(gateway), *series)
    assert outcome.status == 0, outcome.output
    assert instances(gateway) == {one.SOPInstanceUID for one in series}
    assert len(messages(gateway)) == 1
    counted = b'radbridge_messages_total{kind="C-STORE",outcome="accepted",wire="dicom"} 30.0'
    assert counted in gateway.metrics_page()


async def test_what_is_private_stays_out(gateway: LiveGateway) -> None:
    """Private elements, also within sequences, are not in the journal."""
    sent = image()
    sent.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "private words")
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99A", "CT CHEST"
    code.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "private words")
    sent.ProcedureCodeSequence = [code]
    assert await apart(store, port(gateway), sent) == [0]
    [row] = rows(gateway, "SELECT raw FROM message WHERE wire = 'dicom'")
    assert b"private words" not in row.raw
    assert read_part10(row.raw).ProcedureCodeSequence[0].CodeMeaning == "CT CHEST"


async def test_the_same_object_again(gateway: LiveGateway) -> None:
    """An object sent twice is one row; sent again with other words, what it says now is applied."""
    sent = image(BodyPartExamined="CHEST")
    assert await apart(store, port(gateway), sent, sent) == [0, 0]
    assert len(messages(gateway)) == 1
    sent.PatientSex = "M"
    assert await apart(store, port(gateway), sent) == [0]
    assert [m.PatientSex for m in messages(gateway)] == ["F", "M"]
    assert len(instances(gateway)) == 1


async def test_a_report_is_kept_whole(gateway: LiveGateway) -> None:
    """A structured report keeps its content; two reports under one header are two messages."""
    reports = []
    for text in ("first", "second"):
        item = Dataset()
        item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", text
        report = image(sop_class=BasicTextSRStorage, Modality="SR", PixelData=None, ValueType="CONTAINER")
        report.ContentSequence = [item]
        reports.append(report)
    assert await apart(store, port(gateway), *reports) == [0, 0]
    assert [m.ContentSequence[0].TextValue for m in messages(gateway)] == ["first", "second"]
    assert {r.kind for r in rows(gateway, "SELECT kind FROM message WHERE wire = 'dicom'")} == {"SR"}


async def test_a_document_is_noted_and_not_kept(gateway: LiveGateway) -> None:
    """An encapsulated PDF is taken in as what its header says; its document is not kept."""
    sent = image(sop_class=EncapsulatedPDFStorage, PixelData=None, EncapsulatedDocument=b"%PDF-1.4 words of a report")
    assert await apart(store, port(gateway), sent) == [0]
    [row] = rows(gateway, "SELECT raw FROM message WHERE wire = 'dicom'")
    assert b"%PDF" not in row.raw
    assert instances(gateway) == {sent.SOPInstanceUID}


def issued_by(name: str) -> Dataset:
    issuer = Dataset()
    issuer.LocalNamespaceEntityID = name
    return image(SpecificCharacterSet="ISO_IR 192", IssuerOfAccessionNumberSequence=[issuer])


def with_study(uid: str) -> Dataset:
    made = image()
    made["StudyInstanceUID"] = DataElement("StudyInstanceUID", "LO", uid)
    made["StudyInstanceUID"].VR = "UI"
    return made


@pytest.mark.parametrize(
    ("sent", "named", "expected"),
    [
        (image(StudyInstanceUID=None), {}, (0xC000, 0x0020000D, "bad_uid")),
        (with_study("1.2.x"), {}, (0xC000, 0x0020000D, "bad_uid")),
        (image(SOPInstanceUID=None), {}, (0xC000, 0x00080018, "bad_uid")),
        (issued_by("é" * 501), {}, (0xC000, None, "key_too_long")),
        (image(), {"sop_instance": "1.2.3"}, (0xA900, 0x00080018, "uid_mismatch")),
        (image(), {"sop_class": ComputedRadiographyImageStorage}, (0x0122, None, "wrong_class")),
    ],
    ids=["no study", "bad study", "no instance", "an issuer without end", "another instance", "another class"],
)
async def test_objects_that_are_refused(
    gateway: LiveGateway, sent: Dataset, named: dict[str, str], expected: tuple[int, int | None, str]
) -> None:
    """What can't be taken in is answered with DICOM's status for it, and kept with the reason."""
    status, offending, reason = expected
    answer = await apart(store_as, port(gateway), sent, **named)
    assert answer.Status == status
    assert answer.get("OffendingElement") == offending
    [row] = rows(gateway, "SELECT state, reason, raw FROM message WHERE wire = 'dicom'")
    assert (row.state, row.reason.split(":")[0]) == ("rejected", reason)
    assert read_part10(row.raw).AccessionNumber == "A1"
    assert instances(gateway) == set()


async def test_an_object_without_accession_waits_for_its_study(gateway: LiveGateway) -> None:
    """What names no accession is taken in, and applied once another object of its study names it."""
    assert await apart(store, port(gateway), image("", BodyPartExamined="ABDOMEN", StudyDescription="CT ABDOMEN")) == [
        0
    ]
    await gateway.until(lambda: not rows(gateway, "SELECT 1 FROM message WHERE state = 'accepted'"))
    assert gateway.case("A1") is None
    assert await apart(store, port(gateway), image("A1")) == [0]
    await gateway.until(lambda: (case := gateway.case("A1")) and "ABDOMEN" in case.study.body_part)


async def test_two_studies_under_one_accession(gateway: LiveGateway) -> None:
    """Each study is told of on its own, and the case knows both."""
    other = f"{STUDY}.99"
    sent = [image(), image(study=other, Modality="CR", sop_class=ComputedRadiographyImageStorage)]
    assert await apart(store, port(gateway), *sent) == [0, 0]
    await gateway.until(lambda: (case := gateway.case("A1")) and {t.study_uid for t in case.told} == {STUDY, other})


async def test_images_from_orthanc(gateway: LiveGateway, tmp_path: Path) -> None:
    """A PACS that sends a study by C-STORE has every image taken in."""
    async with orthanc(tmp_path / "orthanc", modalities={"RADBRIDGE": ("RADBRIDGE", port(gateway))}) as pacs:
        sent = [image(InstanceNumber=n) for n in range(3)]
        ids = [await pacs.add(one) for one in sent]
        answer = await pacs.send("RADBRIDGE", *ids)
    assert answer["FailedInstancesCount"] == 0
    assert instances(gateway) == {one.SOPInstanceUID for one in sent}


async def test_the_log_holds_no_value(gateway: LiveGateway, caplog: pytest.LogCaptureFixture) -> None:
    """With everything logged, no library says a value of what it reads."""
    caplog.set_level("DEBUG", "radbridge")
    secret = image("ACC77123", PatientName="ROE^RICHARD", PatientID="MRN55512", sop_class=EnhancedCTImageStorage)
    secret.StudyInstanceUID = UID(f"{generate_uid()}")
    assert await apart(store, port(gateway), secret) == [0]
    said = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith(("radbridge", "pydicom")))
    assert not any(word in said for word in ("ACC77123", "ROE", "MRN55512", secret.StudyInstanceUID))
