"""Whoever knows a topic or a socket's address may take part in a session, so neither is logged or kept."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest
import structlog
import websockets

from radbridge import logs
from radbridge_adapters import fhircast
from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.fhircast_client import application, connect
from tests.support.limits import clock_of
from tests.support.live import live, make_site
from tests.support.peers import running
from tests.support.store import in_a_file

TOPIC = "zqtopic-that-nobody-may-see"
MARKERS = (TOPIC, "zqtext", "zqname", "900001", "/ws/")


@pytest.fixture
def log() -> io.StringIO:
    """Everything that is logged, at the most talkative level."""
    buffer = io.StringIO()
    logs.configure(level="debug", stream=buffer)
    return buffer


@pytest.fixture(autouse=True)
def _quiet_again() -> object:
    yield
    structlog.reset_defaults()


@in_a_file
async def test_no_log_line_and_no_table_holds_a_topic(
    tmp_path: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good and bad requests, sockets, a foreign hub: no topic, no address and no report text in logs or metrics."""
    async with running("hub.mjs") as (ready, _):
        hubs = [{"name": "hub", "url": ready["url"], "topic": TOPIC}]
        site = make_site(tmp_path, fhircast={"hubs": hubs, "ack_timeout_s": 600, "heartbeat_s": 0.05})
        async with live(site, fhircast.wire) as gateway:
            await gateway.until(lambda: "hub followed" in log.getvalue())
            async with application(f"{gateway.base}/fhircast", TOPIC) as pacs:
                await pacs.post("DiagnosticReport-open", report_context("zqname1"))
                version = (await pacs.context())["context.versionId"]
                told = update_context(put(observation("zqtext mass.")))
                await pacs.post("DiagnosticReport-update", told, version)
                await pacs.wait(3)
                await pacs.post("DiagnosticReport-update", told, "old")
                await pacs.post("no event name", told)
                await pacs.http.get(f"{pacs.url}/{TOPIC}/{TOPIC}")
                await pacs.http.post(pacs.url, content=TOPIC, headers={"content-type": "application/json"})
                with pytest.raises(websockets.InvalidStatus):
                    await connect(f"{pacs.endpoint}x")
                pacs.mute = True
                await pacs.post("DiagnosticReport-close", report_context("zqname1")[:1])
                clock_of("radbridge_adapters.fhircast.link", monkeypatch).skip(601)
                await pacs.until_closed()
            async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
                state = (await http.get(f"{ready['url']}/control")).json()
                assert state["forms"][0]["hub.topic"] == TOPIC
            page = gateway.metrics_page().decode().lower()
    said = log.getvalue().lower()
    assert "hub followed" in said
    assert not [marker for marker in MARKERS if marker in said or marker in page]
    kept = (tmp_path / "radbridge.db").read_bytes()
    rows = [kept.count(TOPIC.encode())]
    assert rows == [1]  # the body that was no JSON, kept for an operator to see
