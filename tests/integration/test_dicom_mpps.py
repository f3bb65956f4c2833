"""Procedure steps of modalities: they begin, change and end over associations of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from radbridge_adapters import dicom
from radbridge_adapters.dicom.encoding.part10 import read_part10
from tests.support.dicom_scu import STUDY, apart, change, mpps_create, mpps_set, step
from tests.support.live import LiveGateway, live, make_site


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[LiveGateway]:
    """A gateway with the DICOM wire."""
    async with live(make_site(tmp_path), dicom.wire) as made:
        yield made


def port(gateway: LiveGateway) -> int:
    return int(gateway.addresses["dicom"].rpartition(":")[2])


def told(gateway: LiveGateway, accession: str = "A1") -> list[tuple[str, str]]:
    case = gateway.case(accession)
    return [(t.study_uid, t.step) for t in case.told] if case else []


def rejected(gateway: LiveGateway) -> list[Any]:
    sql = "SELECT reason, raw FROM message WHERE state = 'rejected'"
    return gateway.journal.read_now(lambda conn: list(conn.exec_driver_sql(sql)))


@pytest.mark.parametrize("end", ["COMPLETED", "DISCONTINUED"])
async def test_a_step_across_associations(gateway: LiveGateway, end: str) -> None:
    """A step is created, changed and ended over three associations, and the case follows it."""
    uid = generate_uid()
    answer = await apart(mpps_create, port(gateway), uid, step())
    assert answer.Status == 0
    await gateway.until(lambda: told(gateway) == [(STUDY, "IN PROGRESS")])
    middle = Dataset()
    middle.PerformedProcedureStepDescription = "CT CHEST"
    assert (await apart(mpps_set, port(gateway), uid, middle)).Status == 0
    assert (await apart(mpps_set, port(gateway), uid, change(end))).Status == 0
    await gateway.until(lambda: told(gateway) == [(STUDY, end)])
    again = await apart(mpps_set, port(gateway), uid, change("COMPLETED"))
    assert (again.Status, again.ErrorID) == (0x0110, 0xA710)
    assert told(gateway) == [(STUDY, end)]


async def test_a_change_keeps_what_the_creation_said(gateway: LiveGateway) -> None:
    """The journal has the step as a whole after each change; what a change may not tell, it doesn't tell."""
    uid = generate_uid()
    await apart(mpps_create, port(gateway), uid, step())
    update = change("COMPLETED", PatientID="900002", PerformedProcedureStepDescription="CT CHEST")
    assert (await apart(mpps_set, port(gateway), uid, update)).Status == 0
    sql = "SELECT attributes FROM dicom_step"
    [row] = gateway.journal.read_now(lambda conn: list(conn.exec_driver_sql(sql)))
    kept = read_part10(row.attributes)
    assert kept.ScheduledStepAttributesSequence[0].AccessionNumber == "A1"
    assert (kept.PatientID, kept.PerformedProcedureStepStatus) == ("900001", "COMPLETED")
    assert kept.PerformedProcedureStepDescription == "CT CHEST"


async def test_one_step_for_two_accessions(gateway: LiveGateway) -> None:
    """Each accession of a step that was scheduled for two learns of it."""
    answer = await apart(mpps_create, port(gateway), generate_uid(), step(("A1", "A2")))
    assert answer.Status == 0
    await gateway.until(lambda: told(gateway, "A1") == told(gateway, "A2") == [(STUDY, "IN PROGRESS")])


async def test_a_uid_is_given_where_none_came(gateway: LiveGateway) -> None:
    """A step created without a UID gets ours, by which it can be changed."""
    answer = await apart(mpps_create, port(gateway), None, step())
    assert answer.Status == 0
    uid = str(answer.AffectedSOPInstanceUID)
    assert uid.startswith("2.25.")
    assert (await apart(mpps_set, port(gateway), uid, change())).Status == 0


def without(keyword: str) -> Dataset:
    made = step()
    delattr(made, keyword)
    return made


@pytest.mark.parametrize(
    ("attributes", "status", "reason"),
    [
        (step(PerformedProcedureStepStatus="COMPLETED"), 0x0106, "bad_state"),
        (step(PerformedProcedureStepStatus="BEGUN"), 0x0106, "bad_state"),
        (without("PerformedProcedureStepStatus"), 0x0120, "missing_attribute"),
        (without("ScheduledStepAttributesSequence"), 0x0120, "missing_attribute"),
    ],
    ids=["completed", "no such state", "no state", "no schedule"],
)
async def test_steps_that_are_refused(gateway: LiveGateway, attributes: Dataset, status: int, reason: str) -> None:
    """A step that can't begin is answered with DICOM's status for it, and kept with the reason."""
    answer = await apart(mpps_create, port(gateway), generate_uid(), attributes)
    assert answer.Status == status
    [row] = rejected(gateway)
    assert row.reason.startswith(f"{reason}:")
    assert read_part10(row.raw).PatientID == "900001"


async def test_a_step_of_that_uid_is_there(gateway: LiveGateway) -> None:
    """A second creation under one UID is refused, also when it says the same, and changes nothing."""
    uid = generate_uid()
    await apart(mpps_create, port(gateway), uid, step())
    for attributes in (step(), step(("A9",))):
        answer = await apart(mpps_create, port(gateway), uid, attributes)
        assert answer.Status == 0x0111
    assert gateway.case("A9") is None


async def test_a_step_that_nobody_began(gateway: LiveGateway) -> None:
    """A change of an unknown step is refused."""
    assert (await apart(mpps_set, port(gateway), generate_uid(), change())).Status == 0x0112


async def test_a_state_that_there_is_not(gateway: LiveGateway) -> None:
    """A change to a state that DICOM doesn't know is refused and leaves the step as it was."""
    uid = generate_uid()
    await apart(mpps_create, port(gateway), uid, step())
    assert (await apart(mpps_set, port(gateway), uid, change("PAUSED"))).Status == 0x0106
    assert (await apart(mpps_set, port(gateway), uid, change())).Status == 0
