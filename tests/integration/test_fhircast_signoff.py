"""A report signed on our hub without its text: the text is fetched from the hospital's FHIR server."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from radbridge.case import CaseKey, CaseState
from radbridge.journal import edits
from radbridge_adapters import fhircast
from radbridge_adapters.fhircast import signoff
from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.fhircast_client import Cast, application
from tests.support.live import LiveGateway, live, make_site
from tests.support.peers import fhir_server

KEY = CaseKey(accession="A1")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that isn't there yet is asked for again at once."""
    monkeypatch.setattr(signoff, "FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(signoff, "LAST_RETRY_S", 0.05)


def site_with(server: str, folder: Path) -> Any:
    """A site whose hospital's FHIR server has the reports."""
    destinations = [{"name": "ehr", "url": server}]
    return make_site(folder, fhir={"destinations": destinations}, fhircast={"report_server": "ehr"})


@asynccontextmanager
async def dictated(gateway: LiveGateway, report: str) -> AsyncIterator[Cast]:
    """An application that has opened the report and shared its findings, and has its draft."""
    async with application(f"{gateway.base}/fhircast") as pacs:
        await pacs.post("DiagnosticReport-open", report_context("A1", report))
        context = update_context(put(observation("Clear lungs.")), report=report)
        await pacs.post("DiagnosticReport-update", context, (await pacs.context())["context.versionId"])
        await pacs.wait(3)
        yield pacs


async def sign(pacs: Cast, report: str) -> None:
    """Tell the hub that the report is final, as reporting software does: without the text."""
    context = update_context(report=report)
    context[0] = {"key": "report", "resource": {"resourceType": "DiagnosticReport", "id": report, "status": "final"}}
    answer = await pacs.post("DiagnosticReport-update", context, (await pacs.context())["context.versionId"])
    assert answer.status_code == 202


async def store(http: httpx.AsyncClient, server: str, report: dict[str, Any]) -> str:
    """The id that the hospital's server gives a report."""
    answer = await http.post(f"{server}/DiagnosticReport", json=report)
    return str(answer.raise_for_status().json()["id"])


def signed_texts(gateway: LiveGateway) -> list[str]:
    """What was signed over the drafts of the case."""
    return [edit.signed for edit, _ in gateway.journal.read_now(lambda conn: edits.of_case(conn, KEY))]


def fetched(gateway: LiveGateway) -> int:
    """How many texts were journaled."""
    query = "SELECT count(*) FROM message WHERE sender_key LIKE '%text of %'"
    return int(gateway.journal.read_now(lambda conn: conn.exec_driver_sql(query).scalar_one()))


REPORT = {"resourceType": "DiagnosticReport", "status": "preliminary", "code": {"text": "CT"}}


@pytest.mark.parametrize("where", ["conclusion", "presentedForm", "result"])
async def test_the_text_is_fetched_once_the_server_has_it(tmp_path: Path, where: str) -> None:
    """A sign-off counts at once; its text is asked for until the server has it, and is paired with the draft."""
    text = base64.b64encode(b"FINDINGS: Clear lungs.\nIMPRESSION: Normal chest.").decode()
    async with fhir_server() as server, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        report = await store(http, server, REPORT)
        async with live(site_with(server, tmp_path), fhircast.wire) as gateway, dictated(gateway, report) as pacs:
            await sign(pacs, report)
            await gateway.until(lambda: (c := gateway.case("A1")) is not None and c.state is CaseState.SIGNED)
            assert signed_texts(gateway) == []
            result = observation("Normal chest.", code="19005-8") | {"status": "final"}
            made = (await http.post(f"{server}/Observation", json=result)).json()["id"]
            told: dict[str, dict[str, Any]] = {
                "conclusion": {"conclusion": "Normal chest."},
                "presentedForm": {"presentedForm": [{"contentType": "text/plain", "data": text}]},
                "result": {"result": [{"reference": f"Observation/{made}"}]},
            }
            final = REPORT | {"id": report, "status": "final"} | told[where]
            (await http.put(f"{server}/DiagnosticReport/{report}", json=final)).raise_for_status()
            await gateway.until(lambda: signed_texts(gateway) == ["Normal chest."])


async def test_a_text_that_a_crash_left_is_fetched_afterwards(tmp_path: Path) -> None:
    """A gateway that stopped before it had the text fetches it when it is started again, once."""
    async with fhir_server() as server, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        report = await store(http, server, REPORT)
        async with live(site_with(server, tmp_path), fhircast.wire) as gateway, dictated(gateway, report) as pacs:
            await sign(pacs, report)
            await gateway.until(lambda: (c := gateway.case("A1")) is not None and c.state is CaseState.SIGNED)
        final = REPORT | {"id": report, "status": "final", "conclusion": "Normal chest."}
        (await http.put(f"{server}/DiagnosticReport/{report}", json=final)).raise_for_status()
        for _ in range(2):
            async with live(site_with(server, tmp_path), fhircast.wire) as gateway:
                await gateway.until(lambda: signed_texts(gateway) == ["Normal chest."])
                assert fetched(gateway) == 1
