"""The patient's earlier studies, asked of Orthanc by C-FIND; and of archives that answer loosely."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from radbridge.case import CaseKey, Patient, Study
from radbridge.config import Dicom
from radbridge.events import PriorsFound
from radbridge.flow.priors import load_with_prior
from radbridge.imaging import Prior
from radbridge_adapters.dicom.asking.priors_query import STUDY_ROOT_FIND, pack
from radbridge_adapters.dicom.incoming.priors import unpack
from tests.support.asking import SERVERS_LEAK, Asking, asking, loose, peer, silent
from tests.support.dicom_scu import STUDY, image
from tests.support.orthanc import orthanc

pytestmark = pytest.mark.filterwarnings(SERVERS_LEAK)
OURS = {"RADBRIDGE": ("RADBRIDGE", 1)}
NOW_KEY = CaseKey(accession="A1", issuer="NORTH")
NOW = Study(uid=f"{STUDY}.9", modality="CT", body_part="CHEST", at=datetime(2026, 3, 1, 10, 15, tzinfo=UTC))


def site(port: int, ae_title: str = "ORTHANC", **query: Any) -> dict[str, Any]:
    return {"peers": [peer(port, ae_title)], "pacs": {"peer": "pacs", "retries": 0} | query}


def study(number: int, on: str, **more: Any) -> Dataset:
    """A slice of one of Jane's earlier studies."""
    return image(f"P{number}", study=f"{STUDY}.{number}", StudyDate=on, **more)


def answer(number: int, *, patient_id: str = "900001", **more: Any) -> Dataset:
    """What a loose archive says of a study."""
    made = Dataset()
    values = {"PatientID": patient_id, "StudyInstanceUID": f"{STUDY}.{number}", "StudyDate": "20250301"} | more
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


async def priors(gateway: Asking) -> tuple[Prior, ...]:
    await gateway.gateway.until(lambda: gateway.of(PriorsFound))
    found: tuple[Prior, ...] = gateway.of(PriorsFound)[-1].priors
    return found


async def test_orthanc_is_asked(tmp_path: Path) -> None:
    """Of a patient's studies there the others are found, newest first, and the fitting one is the draft's comparison.

    A body part that the description doesn't tell comes from the series.
    """
    async with orthanc(tmp_path / "orthanc", modalities=OURS) as pacs:
        await pacs.add(study(1, "20240105", StudyDescription="MR BRAIN", Modality="MR", BodyPartExamined="HEAD"))
        await pacs.add(study(2, "20250301", StudyDescription="Routine", BodyPartExamined="CHEST"))
        await pacs.add(study(3, "20250302", PatientID="900002"))
        await pacs.add(study(9, "20260301"))
        async with asking(tmp_path, **site(pacs.port)) as gateway:
            await gateway.dictate("A1", patient=Patient(id="900001"), study=NOW)
            found = await priors(gateway)
            await gateway.gateway.until(lambda: (case := gateway.gateway.case("A1")) and case.priors)
            case = gateway.gateway.journal.read_now(lambda conn: load_with_prior(conn, CaseKey(accession="A1")))
    assert case is not None
    assert case.prior == found[0]
    assert found == (
        Prior(
            study_uid=f"{STUDY}.2",
            accession="P2",
            on=date(2025, 3, 1),
            modality="CT",
            body_part="CHEST",
            description="Routine",
        ),
        Prior(
            study_uid=f"{STUDY}.1",
            accession="P1",
            on=date(2024, 1, 5),
            modality="MR",
            body_part="HEAD",
            description="MR BRAIN",
        ),
    )


async def test_a_loose_archive(tmp_path: Path) -> None:
    """Studies of other patients, of the same id elsewhere, the case's own and those without a UID are dropped."""
    answers = [
        answer(1, patient_id="900002"),
        answer(2, IssuerOfPatientID="SOUTH"),
        answer(3, IssuerOfPatientID="NORTH"),
        answer(4),
        answer(5, AccessionNumber="A1"),
        answer(9),
        answer(6, StudyInstanceUID=""),
    ]
    with loose(STUDY_ROOT_FIND, *answers) as archive:
        async with asking(tmp_path, **site(archive.port, "PACS")) as gateway:
            await gateway.dictate("A1", patient=Patient(id="900001", issuer="NORTH"), study=NOW)
            assert {prior.study_uid for prior in await priors(gateway)} == {f"{STUDY}.3", f"{STUDY}.4"}


async def test_a_patient_is_asked_for_once(tmp_path: Path) -> None:
    """Several cases of one patient ask once; an id with a wildcard is never asked for."""
    with loose(STUDY_ROOT_FIND, answer(1, StudyDescription="CT CHEST")) as archive:
        async with asking(tmp_path, **site(archive.port, "PACS")) as gateway:
            await gateway.dictate("A0", patient=Patient(id="9*"), study=NOW)
            for number in range(1, 5):
                await gateway.dictate(f"A{number}", patient=Patient(id="900001"), study=NOW)
            await gateway.gateway.until(lambda: len(gateway.of(PriorsFound)) == 4)
        assert [(query.QueryRetrieveLevel, query.PatientID) for query in archive.asked] == [("STUDY", "900001")]


async def test_a_silent_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that never answers holds up no draft."""
    for module in ("cache", "enquirer"):
        monkeypatch.setattr(f"radbridge_adapters.dicom.asking.{module}.ALONE_S", 600.0)
    async with silent() as archive, asking(tmp_path, **site(archive.port, timeout_s=0.3)) as gateway:
        for number in range(5):
            await gateway.dictate(f"A{number}", patient=Patient(id=f"90000{number}"), study=NOW)
        await gateway.gateway.until(lambda: all(gateway.gateway.drafts(f"A{n}") for n in range(5)))
        await gateway.gateway.until(lambda: archive.connections and archive.open == 0)
        assert archive.connections == 1


def test_what_is_packed_is_unpacked() -> None:
    """A journaled answer tells the same studies again; issuers are called what the site calls them."""
    theirs, issuer = answer(1, AccessionNumber="P1", ModalitiesInStudy=["SR", "MR"], StudyDescription="KNEE"), Dataset()
    issuer.LocalNamespaceEntityID = "N"
    theirs.IssuerOfAccessionNumberSequence = [issuer]
    settings = Dicom(issuers={"N": "NORTH"})
    (prior,) = unpack(pack([theirs], NOW_KEY, "900001"), settings)
    assert prior == Prior(
        study_uid=f"{STUDY}.1",
        accession="P1",
        issuer="NORTH",
        on=date(2025, 3, 1),
        modality="MR",
        body_part="KNEE",
        description="KNEE",
    )
