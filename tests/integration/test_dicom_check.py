"""`radbridge check` tries every DICOM peer, and no log line of ours or of a library names a patient."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE
from typer.testing import CliRunner, Result

from radbridge import logs
from radbridge.case import Case, CaseKey, Patient, Study
from radbridge.cli.app import app
from radbridge.config import Dicom
from radbridge.errors import DeliveryError
from radbridge.events import OrderPlaced, PriorsFound
from radbridge_adapters.dicom import wire
from radbridge_adapters.dicom.asking.peers import make_priors
from radbridge_adapters.dicom.asking.priors_query import STUDY_ROOT_FIND
from radbridge_adapters.dicom.asking.worklist import MODALITY_WORKLIST
from radbridge_adapters.dicom.network.scu import VERIFICATION
from tests.support.asking import SERVERS_LEAK, asking, loose, peer, serving, silent
from tests.support.gateway import free_port

pytestmark = pytest.mark.filterwarnings(SERVERS_LEAK)
SECRETS = ("SECRETACC77", "SECRETMRN88", "SECRETNAME", "1.2.826.0.1.3680043.8.498.4711", "SECRETPLACE")


def row(text: str, part: str) -> str:
    """The row of a part in the table that `radbridge check` prints."""
    return next(line for line in text.splitlines() if part in line)


async def test_every_peer_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each peer with an address: whether it answers, and if not, why. Peers that only call have none."""
    monkeypatch.setattr("radbridge.cli.check.PING_S", 120.0)
    monkeypatch.setattr(
        "radbridge.gateway.plugins.load_entry_points",
        lambda group: {"dicom": wire} if group == "radbridge.adapters" else {},
    )
    monkeypatch.setenv("COLUMNS", "200")
    ae = AE("GOOD")
    ae.require_called_aet = True
    ae.add_supported_context(VERIFICATION)
    config = tmp_path / "site.toml"

    async def check(*peers: tuple[str, str, int], within_s: float) -> Result:
        monkeypatch.setattr("radbridge_adapters.dicom.asking.peers.PING_S", within_s)
        config.write_text(
            "".join(
                f'[[dicom.peers]]\nname = "{name}"\nae_title = "{title}"\naddress = "127.0.0.1:{port}"\n'
                for name, title, port in peers
            )
            + '[[dicom.peers]]\nname = "modality"\nae_title = "CT1"\n'
            f'[dicom.dicomweb]\nurl = "http://127.0.0.1:{free_port()}/dicom-web"\n'
        )
        return await asyncio.to_thread(CliRunner().invoke, app, ["check", "--config", str(config)])

    with serving(ae) as port:
        peers = ("good", "GOOD", port), ("wrong", "WRONG", port), ("away", "X", free_port())
        result = await check(*peers, within_s=60)
    async with silent() as dead:
        alone = await check(("dead", "X", dead.port), within_s=0.5)
    assert (result.exit_code, alone.exit_code) == (1, 1)
    assert "ok" in row(result.output, "dicom peer good")
    assert "called something else" in row(result.output, "dicom peer wrong")
    assert "within 0.5 s" in row(alone.output, "dicom peer dead")
    assert "nobody listens" in row(result.output, "dicom peer away")
    assert "can't be reached" in row(result.output, "dicomweb")
    assert "modality" not in result.output


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All logs of a run at level debug, as `radbridge up` writes them; put back afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    out = io.StringIO()
    logs.configure(level="debug", stream=out)
    yield out
    root.handlers[:], level, sys.excepthook, threading.excepthook = before
    root.setLevel(level)
    structlog.reset_defaults()


def answer(**more: Any) -> Dataset:
    made = Dataset()
    values = {
        "AccessionNumber": SECRETS[0],
        "PatientID": SECRETS[1],
        "PatientName": f"{SECRETS[2]}^JANE",
        "StudyInstanceUID": SECRETS[3],
        "RequestedProcedureDescription": "MR KNEE",
        "StudyDescription": f"MR KNEE {SECRETS[4]}",
        "StudyDate": "20250301",
    } | more
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


async def test_no_log_line_names_a_patient(tmp_path: Path, lines: io.StringIO) -> None:
    """At level debug, with answers, refusals and failures: no accession, id, name, UID or text of a patient."""
    with (
        loose(MODALITY_WORKLIST, answer(), ae_title="WORKLIST") as worklist,
        loose(STUDY_ROOT_FIND, answer(AccessionNumber="P1"), ae_title="PACS") as archive,
    ):
        peers = [peer(worklist.port, "WORKLIST", "worklist"), peer(archive.port, "PACS", "pacs")]
        settings = {"peers": peers, "worklist": {"peer": "worklist"}, "pacs": {"peer": "pacs", "retries": 0}}
        async with asking(tmp_path, **settings) as gateway:
            await gateway.dictate(SECRETS[0], patient=Patient(id=SECRETS[1], name=SECRETS[2]), study=Study(uid="1.2.3"))
            await gateway.gateway.until(lambda: gateway.of(OrderPlaced) and gateway.of(PriorsFound))
            archive.status = 0xC001
            await gateway.dictate("OTHER", patient=Patient(id=f"{SECRETS[1]}9"))
            await gateway.gateway.until(lambda: "a DICOM peer doesn't answer" in lines.getvalue())
    said = lines.getvalue()
    assert [secret for secret in SECRETS if secret in said] == []


async def test_no_log_line_of_dicomweb_names_a_patient(lines: io.StringIO) -> None:
    """Its URLs name patients: they are in no log line either, nor in an error."""
    web = {"url": f"http://127.0.0.1:{free_port()}/dicom-web", "retries": 0}
    priors = make_priors(Dicom.model_validate({"dicomweb": web}))
    assert priors is not None
    case = Case(key=CaseKey(accession=SECRETS[0]), patient=Patient(id=SECRETS[1]))
    with pytest.raises(DeliveryError) as caught:
        await priors.ask(case)
    assert [secret for secret in SECRETS if secret in lines.getvalue() + str(caught.value)] == []
