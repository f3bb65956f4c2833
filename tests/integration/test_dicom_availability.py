"""Instance Availability Notifications: a study's images can be had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from radbridge_adapters import dicom
from tests.support.dicom_scu import STUDY, apart, availability, ian_create, image, store
from tests.support.live import LiveGateway, live, make_site


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[LiveGateway]:
    """A gateway with the DICOM wire."""
    async with live(make_site(tmp_path), dicom.wire) as made:
        yield made


def port(gateway: LiveGateway) -> int:
    return int(gateway.addresses["dicom"].rpartition(":")[2])


def states(gateway: LiveGateway) -> list[str]:
    sql = "SELECT state FROM message WHERE kind = 'IAN' ORDER BY id"
    return gateway.journal.read_now(lambda conn: [r.state for r in conn.exec_driver_sql(sql)])


async def test_a_notification_waits_for_its_study(gateway: LiveGateway) -> None:
    """A notification names no accession: it is taken in, and told of the case once an image names that."""
    notice = availability([image()])
    assert (await apart(ian_create, port(gateway), notice)).Status == 0
    await gateway.until(lambda: states(gateway) == ["done"])
    assert gateway.case("A1") is None
    assert await apart(store, port(gateway), image()) == [0]
    await gateway.until(lambda: (case := gateway.case("A1")) and [t.study_uid for t in case.told] == [STUDY])
    await gateway.until(lambda: states(gateway) == ["done"])


async def test_a_notification_of_a_known_study(gateway: LiveGateway) -> None:
    """After its images a notification changes nothing of what they said."""
    assert await apart(store, port(gateway), image()) == [0]
    await gateway.until(lambda: gateway.case("A1"))
    before = gateway.case("A1")
    assert (await apart(ian_create, port(gateway), availability([image()]))).Status == 0
    await gateway.until(lambda: states(gateway) == ["done"])
    after = gateway.case("A1")
    assert before is not None
    assert after is not None
    assert (after.study, after.patient, after.order) == (before.study, before.patient, before.order)


async def test_a_notification_about_no_study(gateway: LiveGateway) -> None:
    """Without a Study Instance UID it is refused, with DICOM's status for that, and kept."""
    notice = availability([image()])
    del notice.StudyInstanceUID
    assert (await apart(ian_create, port(gateway), notice)).Status == 0x0120
    assert states(gateway) == ["rejected"]
