"""What was answered with success is there after the worst night (rule 1)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.support.dicom_scu import apart, association, image, store
from tests.support.gateway import GatewayProcess
from tests.support.store import in_a_file

SENDERS = 4
ENOUGH = 60


def send_until_it_dies(port: int, sender: int, stored: set[str]) -> None:
    """Store object after object, and note each that was answered with success."""
    dataset = image(f"K{sender}")
    with association(port, dataset.SOPClassUID) as made:
        for number in range(100_000):
            dataset = renamed(dataset, f"1.2.826.0.1.3680043.8.498.{sender + 1}.{number + 1}")
            status = made.send_c_store(dataset) if made.is_established else Dataset()
            if status.get("Status") != 0:
                return
            stored.add(str(dataset.SOPInstanceUID))


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Nobody else can write to the database."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=120)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def renamed(dataset: Dataset, uid: str) -> Dataset:
    """The data set under another UID, ready to be sent."""
    dataset.SOPInstanceUID = uid
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


@in_a_file
async def test_nothing_that_was_answered_is_lost(tmp_path: Path) -> None:
    """After kill -9 every object that was answered is in the journal, its study is a case, and none comes twice."""
    stored: set[str] = set()
    gateway = GatewayProcess(tmp_path, model='url = "http://127.0.0.1:9"')
    await gateway.start(ready=False)
    senders = [asyncio.create_task(apart(send_until_it_dies, gateway.dicom_port, n, stored)) for n in range(SENDERS)]
    async with asyncio.timeout(120):
        while len(stored) < ENOUGH or len({uid.rsplit(".", 2)[1] for uid in stored.copy()}) < SENDERS:
            await asyncio.sleep(0.005)
    with locked(tmp_path / "radbridge.db"):
        await asyncio.sleep(0.3)  # no object can be committed now; whoever answered before the commit would go on
        gateway.kill()
        await asyncio.gather(*senders)
    assert gateway.process is not None
    await gateway.process.wait()
    await gateway.start(ready=False)
    try:
        kept = {row[0] for row in gateway.query("SELECT sop_uid FROM dicom_instance")}
        assert stored <= kept
        assert len(kept) <= len(stored) + SENDERS, "one for each sender may have been committed without its answer"
        await gateway.until("SELECT count(*) FROM message WHERE state = 'accepted'", 0)
        assert {row[0] for row in gateway.query('SELECT accession FROM "case"')} == {f"K{n}" for n in range(SENDERS)}
        assert gateway.query("SELECT count(*) FROM message WHERE wire = 'dicom'") == [(SENDERS,)]
        again = renamed(image("K0"), min(stored))
        assert await apart(store, gateway.dicom_port, again) == [0]
        assert len(gateway.query("SELECT sop_uid FROM dicom_instance")) == len(kept)
    finally:
        await gateway.stop()
