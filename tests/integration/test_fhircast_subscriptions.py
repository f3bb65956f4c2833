"""Subscriptions of our FHIRcast hub: confirmation, change, lease, end, and who doesn't answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from radbridge_adapters import fhircast
from radbridge_adapters.fhircast.subscriptions import MAX_FIELDS
from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.fhircast_client import Cast, application, connect, hear, owed
from tests.support.limits import Clock, clock_of
from tests.support.live import live, make_site

SYSTEM = "https://fhircast.hl7.org/events/syncerror/"


def coded(sync_error: dict[str, Any]) -> dict[str, str]:
    """What a SyncError is about: eventid, eventname, subscriber."""
    [item] = sync_error["event"]["context"]
    [issue] = item["resource"]["issue"]
    assert (item["key"], issue["severity"], issue["code"]) == ("operationoutcome", "warning", "processing")
    return {coding["system"].removeprefix(SYSTEM): coding["code"] for coding in issue["details"]["coding"]}


async def test_a_subscription_is_confirmed_and_told_what_is_open(tmp_path: Path) -> None:
    """On connecting a subscriber gets its confirmation, then the open contexts as they were opened."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as first:
        await first.post("Patient-open", [{"key": "patient", "resource": {"resourceType": "Patient", "id": "p1"}}])
        await first.post("DiagnosticReport-open", report_context("A1"))
        opened = (await first.wait(2))[:2]
        async with application(first.url, hub_events="diagnosticreport-open") as late:
            assert late.told[0] == {
                "hub.mode": "subscribe",
                "hub.topic": "topic",
                "hub.events": "diagnosticreport-open",
                "hub.lease_seconds": 7200,
            }
            assert await late.wait(1) == [opened[1]]
        async with application(first.url, hub_events="*-*") as late:
            assert await late.wait(2) == opened


async def test_subscribers_get_what_they_asked_for(tmp_path: Path) -> None:
    """Events go to those subscribed to them; a second request for the same socket changes which."""
    async with (
        live(make_site(tmp_path), fhircast.wire) as gateway,
        application(f"{gateway.base}/fhircast") as everything,
        application(everything.url, hub_events="Patient-open") as little,
        application(everything.url, topic="another"),
    ):
        await everything.post("DiagnosticReport-open", report_context("A1"))
        await everything.wait(1, "DiagnosticReport-open")
        answer = await little.form(
            hub_channel_endpoint=little.endpoint, hub_events="DiagnosticReport-*", hub_lease_seconds="60"
        )
        assert answer.json() == {"hub.channel.endpoint": little.endpoint}
        assert (await little.until_told(2))["hub.lease_seconds"] == 60
        [opened] = await little.wait(1, "DiagnosticReport-open")
        assert opened["event"]["context.versionId"] == everything.version


async def test_an_opened_report_opens_its_patient_for_those_who_only_follow_patients(tmp_path: Path) -> None:
    """Who is subscribed to Patient-open alone is told of the patient of an opened report (2.5)."""
    async with (
        live(make_site(tmp_path), fhircast.wire) as gateway,
        application(f"{gateway.base}/fhircast") as everything,
        application(everything.url, hub_events="Patient-open,ImagingStudy-open") as little,
    ):
        await everything.post("DiagnosticReport-open", report_context("A1"))
        patient, study = await little.wait(2)
        assert patient["event"]["hub.event"] == "Patient-open"
        assert patient["event"]["context"] == [report_context("A1")[1]]
        assert study["event"]["hub.event"] == "ImagingStudy-open"
        await everything.wait(1)
        assert [e["event"]["hub.event"] for e in everything.events] == ["DiagnosticReport-open"]


@pytest.mark.parametrize("field", ["endpoint", "hub_channel_endpoint"])
async def test_unsubscribing_ends_the_socket(tmp_path: Path, field: str) -> None:
    """Unsubscribing, in the standard's words or in Medplum's, is answered 202; then a denial and a normal close."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        answer = await pacs.form(hub_mode="unsubscribe", **{field: pacs.endpoint})
        assert (answer.status_code, answer.json()) == (202, {"hub.channel.endpoint": pacs.endpoint})
        assert (await pacs.until_told(2))["hub.mode"] == "denied"
        assert await pacs.until_closed() == 1000
        assert (await pacs.form(hub_mode="unsubscribe", hub_channel_endpoint=pacs.endpoint)).status_code == 404
        with pytest.raises(websockets.InvalidStatus):
            await connect(pacs.endpoint)


async def test_a_lease_ends(tmp_path: Path, clock: Clock) -> None:
    """When the lease is over the subscriber is told so and the socket closed; it may be shorter than asked for."""
    site = make_site(tmp_path, fhircast={"lease_s": 600, "heartbeat_s": 0.05})
    async with (
        live(site, fhircast.wire) as gateway,
        application(f"{gateway.base}/fhircast", hub_lease_seconds="9999") as pacs,
    ):
        assert pacs.told[0]["hub.lease_seconds"] == 600
        clock.skip(601)
        assert (await pacs.until_told(2))["hub.reason"] == "the lease is over"
        assert await pacs.until_closed() == 1000


async def test_a_broken_socket_may_come_back(tmp_path: Path) -> None:
    """A connection that breaks is told to the others; the same address works again until the lease is over."""
    async with (
        live(make_site(tmp_path), fhircast.wire) as gateway,
        application(f"{gateway.base}/fhircast") as other,
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        pacs = Cast(url=other.url, topic="topic", http=http)
        pacs.endpoint = (await pacs.form(subscriber_name="PACS")).json()["hub.channel.endpoint"]
        socket = await connect(pacs.endpoint)
        await hear(socket)
        socket.transport.abort()
        [error] = await other.wait(1, "SyncError")
        assert coded(error) == {"subscriber": "PACS"}
        await other.post("DiagnosticReport-open", report_context("A1"))
        async with connect(pacs.endpoint) as again:
            assert '"subscribe"' in await hear(again)
            assert "DiagnosticReport-open" in await hear(again)


async def test_a_second_connection_takes_over(tmp_path: Path) -> None:
    """Of two sockets at one address the newer one counts: it is confirmed, and the older one is told and closed."""
    async with (
        live(make_site(tmp_path), fhircast.wire) as gateway,
        application(f"{gateway.base}/fhircast") as pacs,
        connect(pacs.endpoint) as newer,
    ):
        assert '"hub.mode":"subscribe"' in await hear(newer)
        assert await pacs.until_closed() == 1008
        assert [told["hub.mode"] for told in pacs.told] == ["subscribe", "denied"]
        await pacs.post("DiagnosticReport-open", report_context("A1"))
        assert "DiagnosticReport-open" in await hear(newer)


@pytest.mark.parametrize("answer", [{"status": 409}, {"status": "500"}, {"status": "nonsense"}])
async def test_a_refused_event_is_told_to_the_others(tmp_path: Path, answer: dict[str, Any]) -> None:
    """An event that one subscriber refuses is a SyncError to the others, and to them alone; the context stands."""
    async with (
        live(make_site(tmp_path), fhircast.wire) as gateway,
        application(f"{gateway.base}/fhircast") as pacs,
        application(pacs.url, subscriber_name="EHR") as ehr,
    ):
        ehr.answers = answer
        await pacs.post("DiagnosticReport-open", report_context("A1"))
        [error] = await pacs.wait(1, "SyncError")
        opened = (await pacs.wait(1))[0]
        assert coded(error) == {"eventid": opened["id"], "eventname": "DiagnosticReport-open", "subscriber": "EHR"}
        await pacs.post("DiagnosticReport-close", report_context("A1")[:1])
        await ehr.wait(2)
        assert [e["event"]["hub.event"] for e in ehr.events] == ["DiagnosticReport-open", "DiagnosticReport-close"]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is sent away hears why, however long the machine stands still."""
    monkeypatch.setattr("radbridge_adapters.fhircast.link._FAREWELL_S", 60.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """How the hub tells that an answer or the end of a lease is due; with heartbeats it looks all the time."""
    return clock_of("radbridge_adapters.fhircast.link", monkeypatch)


@pytest.mark.parametrize("answer", [{}, {"status": "200"}, {"status": "202"}, {"status": 200}])
async def test_any_2xx_or_no_status_is_consent(tmp_path: Path, clock: Clock, answer: dict[str, Any]) -> None:
    """An answer with a 2xx as a number or a string, or without a status as Medplum sends it, is consent."""
    site = make_site(tmp_path, fhircast={"ack_timeout_s": 600, "heartbeat_s": 0.05})
    async with (
        live(site, fhircast.wire) as gateway,
        application(f"{gateway.base}/fhircast") as pacs,
        application(pacs.url) as other,
    ):
        other.answers = answer
        for number in range(3):
            await pacs.post("DiagnosticReport-open", report_context("A1", f"r{number}"))
            await other.wait(number + 1)
            await gateway.until(lambda: not owed(gateway))
            clock.skip(400)  # longer in all than one answer may take
        assert not [e for e in pacs.events if e["event"]["hub.event"] == "SyncError"]


async def test_who_does_not_answer_is_unsubscribed(tmp_path: Path, clock: Clock) -> None:
    """No answer in time: a SyncError to the others, a denial and the end for the one that is silent."""
    site = make_site(tmp_path, fhircast={"ack_timeout_s": 600, "heartbeat_s": 0.05})
    async with (
        live(site, fhircast.wire) as gateway,
        application(f"{gateway.base}/fhircast") as pacs,
        application(pacs.url, subscriber_name="EHR") as ehr,
    ):
        ehr.mute = True
        await pacs.post("DiagnosticReport-open", report_context("A1"))
        await pacs.wait(1)
        await gateway.until(lambda: owed(gateway) == 1)
        clock.skip(601)
        [error] = await pacs.wait(1, "SyncError")
        assert coded(error)["subscriber"] == "EHR"
        assert (await ehr.until_told(2))["hub.mode"] == "denied"
        assert await ehr.until_closed() == 1008
        assert (await ehr.form(hub_channel_endpoint=ehr.endpoint)).status_code == 404


async def test_heartbeats_come_and_need_no_answer(tmp_path: Path) -> None:
    """A silent session has heartbeats with their period; not answering them harms nobody."""
    site = make_site(tmp_path, fhircast={"ack_timeout_s": 0.2, "heartbeat_s": 0.05})
    async with live(site, fhircast.wire) as gateway, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        cast = Cast(url=f"{gateway.base}/fhircast", topic="topic", http=http)
        endpoint = (await cast.form()).json()["hub.channel.endpoint"]
        async with connect(endpoint) as socket:
            told = [str(await socket.recv()) for _ in range(12)]
        assert all('"hub.event":"heartbeat","context":[{"key":"period","decimal":"0.05"}]' in text for text in told[1:])


async def test_there_is_room_for_so_many(tmp_path: Path) -> None:
    """One subscriber, and one session, more than the site allows is refused with 503; the others go on."""
    site = make_site(tmp_path, fhircast={"max_subscribers": 2, "max_topics": 2})
    async with (
        live(site, fhircast.wire) as gateway,
        application(f"{gateway.base}/fhircast", "one") as one,
        application(one.url, "two"),
    ):
        assert (await one.form()).status_code == 503
        assert (await one.http.get(f"{one.url}/three")).status_code == 503
        assert (await one.post("DiagnosticReport-open", report_context("A1"))).status_code == 202


async def test_a_session_outlives_the_process(tmp_path: Path) -> None:
    """After a restart the context, its version and its content are as they were, and updates go on from there."""
    url = ""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        await pacs.post("DiagnosticReport-open", report_context("A1"))
        found = put(observation("x", code="36643-5"))
        await pacs.post("DiagnosticReport-update", update_context(found), (await pacs.context())["context.versionId"])
        before = await pacs.context()
    async with live(make_site(tmp_path), fhircast.wire) as gateway:
        url = f"{gateway.base}/fhircast"
        async with application(url) as pacs:
            assert (await pacs.wait(1))[0]["event"]["hub.event"] == "DiagnosticReport-open"
            assert await pacs.context() == before
            assert pacs.version == before["context.versionId"]
            answer = await pacs.post("DiagnosticReport-update", update_context(found, bundle="b2"), pacs.version)
            assert answer.status_code == 202


async def test_a_form_has_so_many_fields(tmp_path: Path) -> None:
    """A form with more fields than a subscription could have is refused, whatever the others are."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    right = "hub.channel.type=websocket&hub.mode=subscribe&hub.topic=t&hub.events=Patient-open"
    async with (
        live(make_site(tmp_path), fhircast.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
    ):
        found = [
            (await http.post("/fhircast", content=right + "&x=1" * more, headers=form)).status_code
            for more in (MAX_FIELDS - 4, MAX_FIELDS - 3)
        ]
    assert found == [202, 400]
