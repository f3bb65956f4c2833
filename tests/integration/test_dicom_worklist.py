"""The worklist, asked by a gateway about accessions that no order came for; the worklist is DCMTK's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from radbridge.case import Case, CaseState, Code, Order, Patient, Sex
from radbridge.draft import DraftState
from radbridge.events import OrderPlaced
from radbridge.journal.schema import messages as message_rows
from radbridge_adapters.dicom.asking.worklist import MODALITY_WORKLIST, Worklist
from tests.support.asking import SERVERS_LEAK, Asking, asking, loose, peer, silent
from tests.support.dcmtk import wlmscpfs

pytestmark = pytest.mark.filterwarnings(SERVERS_LEAK)


def code(value: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, "L", meaning
    return made


def scheduled(accession: str, *, patient_id: str = "900001", name: str = "DOE^JANE", charset: str = "") -> Dataset:
    """A worklist item as wlmscpfs reads it."""
    item, step = Dataset(), Dataset()
    if charset:
        item.SpecificCharacterSet = charset
    item.AccessionNumber = accession
    item.PatientName, item.PatientID, item.PatientBirthDate, item.PatientSex = name, patient_id, "19550301", "F"
    item.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.7000"
    item.RequestedProcedureID = "P1"
    item.RequestedProcedureDescription = "MR KNEE RIGHT"
    item.RequestedProcedureCodeSequence = [code("73721", "MR KNEE RIGHT")]
    item.ReasonForTheRequestedProcedure = "Pain after a fall"
    item.RequestedProcedurePriority = "STAT"
    step.Modality, step.ScheduledStationAETitle = "MR", "MR1"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260301", "101500"
    step.ScheduledPerformingPhysicianName, step.ScheduledProcedureStepDescription = "", "MR KNEE RIGHT"
    step.ScheduledProcedureStepID = "S1"
    item.ScheduledProcedureStepSequence = [step]
    return item


def site(port: int, **query: object) -> dict[str, object]:
    return {"peers": [peer(port, "WORKLIST")], "worklist": {"peer": "pacs", "retries": 0} | query}


def order_of(gateway: Asking, accession: str) -> Order:
    case = gateway.gateway.case(accession)
    return case.order if case else Order()


async def test_an_order_is_found(tmp_path: Path) -> None:
    """What the RIS never sent of an accession comes from the worklist: procedure, reason, patient, priority."""
    items = [scheduled("A1"), scheduled("A2", patient_id="900002")]
    async with wlmscpfs(tmp_path / "wl", items) as port, asking(tmp_path, **site(port)) as gateway:
        await gateway.dictate("A1")
        await gateway.gateway.until(lambda: order_of(gateway, "A1").procedure.display)
        case = gateway.gateway.case("A1")
    assert case is not None
    assert case.order.procedure == Code(value="73721", system="L", display="MR KNEE RIGHT")
    assert (case.order.reason, case.order.priority) == ("Pain after a fall", "S")
    assert (case.patient.id, case.patient.sex, case.patient.birth_date) == ("900001", Sex.FEMALE, date(1955, 3, 1))
    assert (case.study.modality, case.study.body_part) == ("MR", "KNEE")
    assert case.state is CaseState.OPEN
    assert len(gateway.of(OrderPlaced)) == 1


async def test_a_known_order_is_not_asked_for(tmp_path: Path) -> None:
    """A case whose procedure the RIS told isn't asked about; one with wildcards in its accession neither."""
    items = [scheduled("A1"), scheduled("A2")]
    async with wlmscpfs(tmp_path / "wl", items) as port, asking(tmp_path, **site(port)) as gateway:
        await gateway.dictate("A1", order=Order(procedure=Code(display="CT CHEST")))
        await gateway.dictate("A*")
        await gateway.dictate("A2")
        await gateway.gateway.until(lambda: order_of(gateway, "A2").procedure.display)
        assert [event.key.accession for event in gateway.of(OrderPlaced)] == ["A2"]


async def test_other_accessions_are_not_taken(tmp_path: Path) -> None:
    """Of a worklist that tells all it has, only the accession and issuer that were asked for are taken."""
    theirs, issuer = scheduled("A1"), Dataset()
    issuer.LocalNamespaceEntityID = "NORTH"
    theirs.IssuerOfAccessionNumberSequence = [issuer]
    with loose(MODALITY_WORKLIST, theirs, scheduled("A2"), scheduled("A22"), ae_title="WORKLIST") as worklist:
        async with asking(tmp_path, **site(worklist.port)) as gateway:
            await gateway.dictate("A1", issuer="SOUTH")
            await gateway.dictate("A2")
            await gateway.gateway.until(lambda: order_of(gateway, "A2").procedure.display)
            assert [event.key.accession for event in gateway.of(OrderPlaced)] == ["A2"]
            assert [query.AccessionNumber for query in worklist.asked] == ["A1", "A2"]


@pytest.mark.parametrize(
    ("charset", "name"), [("ISO_IR 100", "MÜLLER^JÖRG"), ("ISO_IR 192", "MÜLLER^李"), ("ISO_IR 144", "ЛЮКСЕМБУРГ^А")]
)
async def test_names_in_their_character_set(tmp_path: Path, charset: str, name: str) -> None:
    """A name arrives as it was written, whatever the worklist's character set."""
    items = [scheduled("A1", name=name, charset=charset)]
    async with wlmscpfs(tmp_path / "wl", items, "-csk") as port, asking(tmp_path, **site(port)) as gateway:
        await gateway.dictate("A1")
        await gateway.gateway.until(lambda: order_of(gateway, "A1").procedure.display)
        case = gateway.gateway.case("A1")
    assert case is not None
    assert case.patient.name == name


async def test_the_answer_is_one_message(tmp_path: Path) -> None:
    """An answer is journaled once, under the case's accession, and the same one again changes nothing."""
    async with wlmscpfs(tmp_path / "wl", [scheduled("A1")]) as port, asking(tmp_path, **site(port)) as gateway:
        await gateway.dictate("A1", issuer="NORTH")
        await gateway.gateway.until(lambda: gateway.of(OrderPlaced))
        await gateway.dictate("A1", issuer="NORTH", findings="No fracture.", patient=Patient(id="900001"))
        await gateway.gateway.until(lambda: _rows(gateway, "test") == 2)
        assert _rows(gateway, "dicom") == 1
        assert gateway.of(OrderPlaced)[0].key.issuer == "NORTH"


def _rows(gateway: Asking, wire: str) -> int:
    query = message_rows.select().where(message_rows.c.wire == wire, message_rows.c.state == "done")
    return len(gateway.gateway.journal.read_now(lambda conn: conn.execute(query).all()))


async def test_a_silent_worklist_is_in_nobodys_way(tmp_path: Path) -> None:
    """A peer that accepts and never answers holds up no ACK and no draft, and isn't asked case by case."""
    async with silent() as worklist, asking(tmp_path, **site(worklist.port, timeout_s=300)) as gateway:
        for number in range(40):
            await gateway.dictate(f"A{number}")
        await gateway.gateway.until(lambda: all(gateway.gateway.drafts(f"A{n}") for n in range(40)))
        await gateway.gateway.until(lambda: worklist.open == 1)
        assert worklist.connections == 1, "the first question was answered or given up meanwhile"


async def test_it_is_asked_again_when_it_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that failed is asked again after a while, by itself, until there is an answer."""
    for module in ("cache", "enquirer"):
        monkeypatch.setattr(f"radbridge_adapters.dicom.asking.{module}.ALONE_S", 0.1)
    with loose(MODALITY_WORKLIST, scheduled("A1"), ae_title="WORKLIST") as worklist:
        worklist.status = 0xA700
        async with asking(tmp_path, **site(worklist.port)) as gateway:
            await gateway.dictate("A1")
            await gateway.gateway.until(lambda: len(worklist.asked) >= 2)
            worklist.status = 0
            await gateway.gateway.until(lambda: order_of(gateway, "A1").procedure.display)


async def test_it_is_asked_again_when_it_knew_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An accession that the worklist doesn't know yet is asked for again, until it is there."""
    monkeypatch.setattr("radbridge_adapters.dicom.asking.enquirer.NOTHING_S", 0.1)
    monkeypatch.setattr("radbridge_adapters.dicom.asking.cache.NOTHING_S", 0.05)
    with loose(MODALITY_WORKLIST, ae_title="WORKLIST") as worklist:
        async with asking(tmp_path, **site(worklist.port)) as gateway:
            await gateway.dictate("A1")
            await gateway.gateway.until(lambda: len(worklist.asked) >= 2)
            worklist.answers = [scheduled("A1")]
            await gateway.gateway.until(lambda: order_of(gateway, "A1").procedure.display)


async def test_a_mix_up_is_blocked(tmp_path: Path) -> None:
    """Where the worklist has the accession for another patient, the RIS's patient stays and no draft leaves."""
    with loose(MODALITY_WORKLIST, scheduled("A1", patient_id="900002"), ae_title="WORKLIST") as worklist:
        async with asking(tmp_path, **site(worklist.port)) as gateway:
            await gateway.dictate("A1", patient=Patient(id="900001", name="ROE^RICHARD", sex=Sex.MALE))
            drafts = gateway.gateway.drafts
            await gateway.gateway.until(lambda: drafts("A1") and drafts("A1")[-1].state is DraftState.BLOCKED)
            case = gateway.gateway.case("A1")
    assert case is not None
    assert (case.patient.id, case.patient.name, case.patient.sex) == ("900001", "ROE^RICHARD", Sex.MALE)


async def test_one_case_ends_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours with one case is logged, and the next cases are asked about."""
    ask = Worklist.ask

    async def stumble(self: Worklist, case: Case) -> Sequence[Dataset]:
        if case.key.accession == "A1":
            raise ZeroDivisionError
        return await ask(self, case)

    monkeypatch.setattr(Worklist, "ask", stumble)
    with loose(MODALITY_WORKLIST, scheduled("A2"), ae_title="WORKLIST") as worklist:
        async with asking(tmp_path, **site(worklist.port)) as gateway:
            await gateway.dictate("A1")
            await gateway.dictate("A2")
            await gateway.gateway.until(lambda: order_of(gateway, "A2").procedure.display)
