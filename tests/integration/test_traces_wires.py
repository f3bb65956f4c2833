"""Every wire begins a trace with what it takes in, and says how long its answer took."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from radbridge_adapters import cdshooks, dicom, fhir, fhircast
from tests.support.cds import REPORT_DRAFT, draft_call
from tests.support.collector import attributes, collecting
from tests.support.dicom_scu import apart, image, store_as
from tests.support.fhir import report
from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.fhircast_client import application
from tests.support.live import LiveGateway, live, make_site


async def say_by_fhir(gateway: LiveGateway) -> None:
    """A report is being written."""
    async with httpx.AsyncClient(base_url=f"{gateway.base}/fhir/", trust_env=False, timeout=60) as client:
        (await client.post("DiagnosticReport", json=report())).raise_for_status()
        (await client.get("DiagnosticReport", params={"identifier": "A1"})).raise_for_status()


async def say_by_fhircast(gateway: LiveGateway) -> None:
    """A report is opened, and has findings."""
    async with application(f"{gateway.base}/fhircast") as pacs:
        await pacs.post("DiagnosticReport-open", report_context("A1"))
        context = update_context(put(observation("Clear lungs. No effusion.")))
        await pacs.post("DiagnosticReport-update", context, (await pacs.context())["context.versionId"])


async def say_by_cdshooks(gateway: LiveGateway) -> None:
    """A report in progress is shown, twice as it is: that is one message."""
    async with httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as client:
        for _ in range(2):
            (await client.post(REPORT_DRAFT, json=draft_call("A1"))).raise_for_status()


async def say_by_dicom(gateway: LiveGateway) -> None:
    """An image is stored."""
    await apart(store_as, int(gateway.addresses["dicom"].rpartition(":")[2]), image())


@pytest.mark.parametrize(
    ("wire", "say", "way", "answers"),
    [
        ("fhir", say_by_fhir, ["frame", "apply", "draft", "deliver"], 1),
        ("fhircast", say_by_fhircast, ["frame", "apply", "draft", "deliver"], 2),
        ("cdshooks", say_by_cdshooks, ["frame", "accept", "apply", "draft", "deliver"], 1),
        ("dicom", say_by_dicom, ["frame", "apply"], 1),
    ],
)
async def test_from_the_frame_on(
    tmp_path: Path, wire: str, say: Callable[[LiveGateway], Awaitable[None]], way: list[str], answers: int
) -> None:
    """What a wire took in is traced from there to the last thing that came of it; questions are no messages."""
    with collecting() as collector:
        site = make_site(tmp_path, traces={"endpoint": collector.url, "sample": 1.0})
        async with live(site, fhir.wire, fhircast.wire, cdshooks.wire, dicom.wire) as gateway:
            await say(gateway)
            if "draft" in way:
                await gateway.until(lambda: gateway.drafts("A1"))
            await gateway.until(lambda: gateway.case("A1"))
            await gateway.until(lambda: "confirmed" in gateway.metrics.page().decode() or "deliver" not in way)
            measured = gateway.metrics.registry.get_sample_value("radbridge_ack_seconds_count", {"wire": wire})
    known = {span.span_id: span for span in collector.spans}
    led = []
    for last in collector.named(way[-1]):
        steps = [last]
        while (parent := known.get(steps[-1].parent_span_id)) is not None:
            steps.append(parent)
        led.append([span.name for span in reversed(steps)])
        assert attributes(steps[-1])["wire"] == wire
        assert len({span.trace_id for span in steps}) == 1
    assert way in led
    assert measured == answers
