"""FHIR Subscriptions on real sockets: who is told what, in which order, and what happens when nobody listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from radbridge.config import Site
from radbridge.errors import JournalError
from radbridge_adapters import fhir
from radbridge_adapters.fhir.subscriptions import Subscriptions, events
from radbridge_adapters.fhir.subscriptions.line import Line
from radbridge_adapters.fhir.subscriptions.plan import BACKPORT
from radbridge_adapters.resources.codes import AIAST, DRAFT_TOPIC, coding
from radbridge_adapters.resources.validate import validate
from radbridge_adapters.security.pins import read_pin
from tests.support.certificates import Authority
from tests.support.fhir import JSON, report
from tests.support.live import LiveGateway, live, make_site
from tests.support.subscriber import Subscriber, subscriber

Document = dict[str, Any]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self._moved = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._moved

    def move(self, **by: float) -> None:
        self._moved += timedelta(**by)


def make_patient(folder: Path, **rules: Any) -> Site:
    """A site with these keys of `[fhir.subscriptions]`: who is told late isn't told twice."""
    return make_site(folder, fhir={"subscriptions": {"timeout_s": 300.0} | rules})


@asynccontextmanager
async def server(site: Site, clock: Clock | None = None) -> AsyncIterator[tuple[LiveGateway, httpx.AsyncClient]]:
    timed = partial(Subscriptions, clock=clock) if clock else Subscriptions
    with patch("radbridge_adapters.fhir.Subscriptions", timed):
        async with live(site, fhir.wire) as gateway:
            base = f"{gateway.base}/fhir/"
            async with httpx.AsyncClient(base_url=base, headers=JSON, timeout=60) as client:
                yield gateway, client


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with server(make_patient(tmp_path)) as (_, client):
        yield client


@pytest.fixture
async def hook() -> AsyncIterator[Subscriber]:
    async with subscriber() as one:
        yield one


def plain(url: str, criteria: str = "DiagnosticReport?status=partial", **channel: Any) -> Document:
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "Drafts",
        "criteria": criteria,
        "channel": {"type": "rest-hook", "endpoint": url, **channel},
    }


def topic(url: str, content: str = "id-only", *, mime: str = "application/fhir+json", **channel: Any) -> Document:
    payload = {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": content}]}
    wanted = plain(url, DRAFT_TOPIC, payload=mime, _payload=payload, **channel)
    return wanted | {"meta": {"profile": [f"{BACKPORT}/backport-subscription"]}}


async def subscribe(client: httpx.AsyncClient, wanted: Document) -> str:
    """The id of a Subscription that is active."""
    made = await client.post("Subscription", json=wanted)
    assert made.status_code == 201, made.text
    id: str = made.json()["id"]
    await until_status(client, id, "active")
    return id


async def until_status(client: httpx.AsyncClient, id: str, status: str) -> Document:
    async with asyncio.timeout(60):
        while True:
            found: Document = (await client.get(f"Subscription/{id}")).json()
            if found["status"] == status:
                return found
            await asyncio.sleep(0.01)


def last_is(hook: Subscriber, number: int) -> bool:
    return hook.told[-1].numbers == [number]


async def dictate(client: httpx.AsyncClient, accession: str, **more: Any) -> Document:
    made = await client.post("DiagnosticReport", json=report(accession, **more))
    assert made.status_code == 201, made.text
    document: Document = made.json()
    return document


async def test_an_endpoint_that_wants_a_certificate(tmp_path: Path) -> None:
    """Of an `https://` endpoint is believed what `[fhir.subscriptions]` says of trust, and it gets our certificate."""
    authority = Authority(tmp_path)
    shown = authority.issue("endpoint")
    trust = {"ca_file": authority.ca, "cert_file": authority.issue("gateway"), "pins": [read_pin(shown)]}
    async with subscriber(authority.wants(shown)) as hook:
        async with server(make_patient(tmp_path, **trust)) as (_, client):
            await subscribe(client, topic(hook.url))
        told = len(hook.told)
        trust["pins"] = [read_pin(authority.ca)]
        async with server(make_patient(tmp_path, **trust, error_after=1)) as (_, client):
            made = await client.post("Subscription", json=topic(hook.url))
            await until_status(client, made.json()["id"], "error")
    assert len(hook.told) == told == 1


async def test_a_plain_one_without_payload(client: httpx.AsyncClient, hook: Subscriber) -> None:
    """A rest-hook without a payload is an empty POST for every resource that fits, and none for others."""
    await subscribe(client, plain(hook.url, "DiagnosticReport?status=final"))
    await dictate(client, "A1")
    await dictate(client, "A2", status="final")
    await hook.until(lambda: hook.told)
    [told] = hook.told
    assert (told.method, told.path, told.document) == ("POST", "/hook", None)


async def test_a_plain_one_with_payload(client: httpx.AsyncClient, hook: Subscriber) -> None:
    """With a payload the resource is PUT below the endpoint, with the subscriber's header, which stays a secret."""
    wanted = plain(hook.url, "DiagnosticReport?status=final", payload="application/fhir+json", header=["X-Key: s3cret"])
    id = await subscribe(client, wanted)
    stored = await dictate(client, "A1", status="final")
    await hook.until(lambda: hook.told)
    [told] = hook.told
    assert (told.method, told.path) == ("PUT", f"/hook/DiagnosticReport/{stored['id']}")
    assert told.document == stored
    assert told.headers["x-key"] == "s3cret"
    for address in (f"Subscription/{id}", f"Subscription/{id}/_history", "Subscription"):
        shown = (await client.get(address)).text
        assert "X-Key: ***" in shown
        assert "s3cret" not in shown


async def test_a_topic_id_only(client: httpx.AsyncClient, hook: Subscriber) -> None:
    """A topic begins with a handshake; each draft is an event with a number, its report and its Observation by name."""
    id = await subscribe(client, topic(hook.url))
    await dictate(client, "A1")
    await hook.until(lambda: hook.of_kind("event-notification"))
    handshake, event = hook.told
    assert (handshake.kind, handshake.part("status"), handshake.numbers) == ("handshake", "requested", [])
    assert (event.numbers, event.part("status"), event.part("topic")) == ([1], "active", DRAFT_TOPIC)
    assert event.part("events-since-subscription-start") == "1"
    assert event.part("subscription")["reference"].endswith(f"/fhir/Subscription/{id}")
    for told in hook.told:
        validate(told.document)
    _, *entries = event.document["entry"]
    assert [entry["fullUrl"].split("/")[-2] for entry in entries] == ["DiagnosticReport", "Observation"]
    assert not any("resource" in entry for entry in entries)
    found = (await client.get(entries[0]["fullUrl"])).json()
    assert (found["status"], found["conclusion"]) == ("partial", "Right pleural effusion.")
    assert coding(AIAST) in found["meta"]["security"]


async def test_a_topic_in_full_as_r4b(client: httpx.AsyncClient, hook: Subscriber) -> None:
    """A subscriber that asks for R4B gets a SubscriptionStatus; full-resource holds report and Observation."""
    await subscribe(client, topic(hook.url, "full-resource", mime="application/fhir+json; fhirVersion=4.3"))
    await dictate(client, "A1")
    await hook.until(lambda: hook.of_kind("event-notification"))
    [event] = hook.of_kind("event-notification")
    validate(event.document)
    status, ours, observation = (entry["resource"] for entry in event.document["entry"])
    assert (status["resourceType"], status["notificationEvent"][0]["eventNumber"]) == ("SubscriptionStatus", "1")
    assert ours["conclusion"] == observation["valueString"] == "Right pleural effusion."


async def test_an_empty_topic(client: httpx.AsyncClient, hook: Subscriber) -> None:
    """An empty notification tells that there is something, and names nothing."""
    await subscribe(client, topic(hook.url, "empty"))
    await dictate(client, "A1")
    await hook.until(lambda: hook.of_kind("event-notification"))
    [event] = hook.of_kind("event-notification")
    assert len(event.document["entry"]) == 1
    assert "DiagnosticReport/" not in str(event.document)


async def test_a_filtered_topic(client: httpx.AsyncClient, hook: Subscriber) -> None:
    """A filter narrows the topic to the drafts that fit it."""
    narrow = {"url": f"{BACKPORT}/backport-filter-criteria", "valueString": "DiagnosticReport?identifier=A2"}
    await subscribe(client, topic(hook.url) | {"_criteria": {"extension": [narrow]}})
    for accession in ("A1", "A2"):
        await dictate(client, accession)
    await hook.until(lambda: hook.of_kind("event-notification"))
    [event] = hook.of_kind("event-notification")
    focus = (await client.get(event.document["entry"][1]["fullUrl"])).json()
    assert focus["identifier"][1]["value"] == "A2"


async def test_heartbeats(client: httpx.AsyncClient, hook: Subscriber) -> None:
    """A topic's subscriber hears a heartbeat when there is nothing else to tell."""
    beat = {"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 1}
    await subscribe(client, topic(hook.url, extension=[beat]))
    await hook.until(lambda: hook.of_kind("heartbeat"))
    assert hook.of_kind("heartbeat")[0].numbers == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"criteria": "Nonsense?x=1"}, "Subscription.criteria"),
        ({"criteria": "DiagnosticReport?nonsense=1"}, "Subscription.criteria"),
        ({"criteria": "http://example.org/SubscriptionTopic/other"}, "Subscription.criteria"),
        ({"channel": {"type": "email", "endpoint": "mailto:a@b"}}, "Subscription.channel.type"),
        ({"channel": {"type": "rest-hook", "endpoint": "http://10.0.0.1/x"}}, "Subscription.channel.endpoint"),
        ({"channel": {"type": "rest-hook", "endpoint": "http://u:p@127.0.0.1/x"}}, "Subscription.channel.endpoint"),
        ({"channel": {"type": "rest-hook", "endpoint": "file:///etc/passwd"}}, "Subscription.channel.endpoint"),
        ({"channel": {"type": "rest-hook"}}, "Subscription.channel.endpoint"),
        (
            {"channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1/x", "payload": "application/fhir+xml"}},
            "Subscription.channel.payload",
        ),
        (
            {"channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1/x", "header": ["Host: other"]}},
            "Subscription.channel.header",
        ),
    ],
)
async def test_what_cant_be_done_is_refused(client: httpx.AsyncClient, change: Document, place: str) -> None:
    """A subscription that this server couldn't serve, or that leads into the hospital's network, is refused: 422."""
    refused = await client.post("Subscription", json=plain("http://127.0.0.1/x") | change)
    assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (422, [place])


async def test_a_client_cant_activate_its_own(client: httpx.AsyncClient) -> None:
    """Whatever status a client sends, the server makes it `requested` and finds out by itself."""
    made = (await client.post("Subscription", json=topic("http://127.0.0.1:9/hook") | {"status": "active"})).json()
    assert made["status"] == "requested"


async def test_turned_off_and_on(client: httpx.AsyncClient, hook: Subscriber) -> None:
    """A subscription that is off is told of nothing; asked for again, it goes on with the next number."""
    id = await subscribe(client, topic(hook.url))
    await dictate(client, "A1")
    await hook.until(lambda: hook.of_kind("event-notification"))
    stored = (await client.get(f"Subscription/{id}")).json()
    assert (await client.put(f"Subscription/{id}", json=stored | {"status": "off"})).status_code == 200
    other = await subscribe(client, topic(f"{hook.url}/other"))
    await dictate(client, "A2")
    await hook.until(lambda: [one for one in hook.of_kind("event-notification") if one.path == "/hook/other"])
    assert (await client.put(f"Subscription/{id}", json=stored | {"status": "requested"})).status_code == 200
    await until_status(client, id, "active")
    await dictate(client, "A3")
    await hook.until(lambda: len(hook.of_kind("event-notification")) == 4)
    assert [one.numbers for one in hook.of_kind("event-notification") if one.path == "/hook"] == [[1], [2]]
    assert other != id


async def test_errors_and_recovery(tmp_path: Path, hook: Subscriber) -> None:
    """An endpoint that fails makes the status `error`; when it answers again it gets what it missed, without a gap."""
    async with server(make_patient(tmp_path, error_after=2)) as (_, client):
        id = await subscribe(client, topic(hook.url))
        hook.status = 500
        for accession in ("A1", "A2", "A3"):
            await dictate(client, accession)
        stored = await until_status(client, id, "error")
        assert "500" in stored["error"]
        before, hook.status = len(hook.told), 200  # in one step, or what is refused meanwhile counts, too
        await until_status(client, id, "active")
        await hook.until(lambda: {n for one in hook.told[before:] for n in one.numbers} >= {1, 2, 3})
        assert [one.numbers for one in hook.told[before:]] == [[1], [2], [3]]


async def test_the_journal_is_away_for_a_moment(client: httpx.AsyncClient, hook: Subscriber) -> None:
    """A subscriber is told of what comes after an outage of the journal."""
    await subscribe(client, topic(hook.url))
    with patch.object(Line, "_look", side_effect=JournalError) as away:
        await dictate(client, "A1")
        async with asyncio.timeout(60):
            while not away.called:
                await asyncio.sleep(0.01)
    await hook.until(lambda: hook.told[-1].numbers == [1])


async def test_several_in_one(tmp_path: Path, hook: Subscriber) -> None:
    """A subscriber that takes several events at once gets what has piled up in one notification."""
    many = {"url": f"{BACKPORT}/backport-max-count", "valuePositiveInt": 10}
    async with server(make_patient(tmp_path, error_after=2)) as (gateway, client):
        id = await subscribe(client, topic(hook.url, extension=[many]))
        hook.status = 503
        for accession in ("A1", "A2", "A3"):
            await dictate(client, accession)
        await until_status(client, id, "error")
        await gateway.until(lambda: gateway.journal.read_now(partial(events.last_number, subscription_id=id)) == 3)
        before, hook.status = len(hook.told), 200
        await hook.until(lambda: [one for one in hook.told[before:] if 3 in one.numbers])
        assert sorted({n for one in hook.told[before:] for n in one.numbers}) == [1, 2, 3]
        assert len(hook.told) - before <= 2


async def test_one_that_hangs_delays_no_other(tmp_path: Path, hook: Subscriber) -> None:
    """One endpoint that never answers and one that says 500 for an hour hold up nobody, and lose nothing."""
    clock = Clock()
    site = make_patient(tmp_path, error_after=3)
    async with server(site, clock) as (_, client), subscriber() as silent, subscriber() as broken:
        hanging, failing = [await subscribe(client, topic(one.url)) for one in (silent, broken)]
        await subscribe(client, topic(hook.url))
        silent.status, broken.status = None, 500
        for number in range(1, 7):
            await dictate(client, f"A{number}")
            await hook.until(partial(last_is, hook, number))
            clock.move(minutes=10)
        await silent.until(lambda: silent.of_kind("event-notification"))
        assert [one.numbers for one in silent.of_kind("event-notification")] == [[1]]
        assert (await until_status(client, failing, "error"))["error"]
        assert {n for one in broken.told for n in one.numbers} == {1}
        assert (await client.get(f"Subscription/{hanging}")).json()["status"] == "active"
        before, broken.status = len(broken.told), 200
        clock.move(minutes=10)
        await dictate(client, "A7")
        await broken.until(lambda: broken.told[-1].numbers == [7])
        assert [one.numbers for one in broken.told[before:]] == [[n] for n in range(1, 8)]


async def test_off_after_long(tmp_path: Path, hook: Subscriber) -> None:
    """An endpoint that has been gone for longer than the site allows is told of nothing more: its status is `off`."""
    clock = Clock()
    site = make_patient(tmp_path, error_after=1, off_after_h=24.0)
    async with server(site, clock) as (_, client):
        id = await subscribe(client, topic(hook.url))
        hook.status = 500
        await dictate(client, "A1")
        await until_status(client, id, "error")
        clock.move(hours=25)
        await dictate(client, "A2")
        await until_status(client, id, "off")


async def test_numbers_go_on_after_a_restart(tmp_path: Path, hook: Subscriber) -> None:
    """What was not told before a restart is told after it, under the numbers it had."""
    site = make_patient(tmp_path)
    async with server(site) as (gateway, client):
        await subscribe(client, topic(hook.url))
        hook.status = None
        for accession in ("A1", "A2"):
            await dictate(client, accession)
            await gateway.until(partial(gateway.drafts, accession))
        await hook.until(lambda: hook.of_kind("event-notification"))
    hook.status = 200
    before = len(hook.told)
    async with server(site) as (_, client):
        await hook.until(lambda: hook.told[-1].numbers == [2])
        await dictate(client, "A3")
        await hook.until(lambda: hook.told[-1].numbers == [3])
    assert [one.numbers for one in hook.told[before:] if one.numbers] == [[1], [2], [3]]


async def test_asked_afterwards(client: httpx.AsyncClient, hook: Subscriber) -> None:
    """`$status` tells how many events there were, `$events` tells them again, in the content that is wanted."""
    id = await subscribe(client, topic(hook.url, "empty"))
    for accession in ("A1", "A2"):
        await dictate(client, accession)
    await hook.until(lambda: 2 in hook.told[-1].numbers)
    status = (await client.get(f"Subscription/{id}/$status")).json()
    validate(status)
    assert status["type"] == "searchset"
    again = await client.get(
        f"Subscription/{id}/$events", params={"eventsSinceNumber": "2", "content": "full-resource"}
    )
    validate(again.json())
    assert [entry["resource"]["resourceType"] for entry in again.json()["entry"]] == [
        "Parameters", "DiagnosticReport", "Observation"
    ]  # fmt: skip
    assert (await client.get(f"Subscription/{id}/$events", params={"eventsSinceNumber": "x"})).status_code == 400
    assert (await client.get("Subscription/none/$status")).status_code == 404


async def test_too_many(tmp_path: Path, hook: Subscriber) -> None:
    """A site keeps no more subscriptions than it wants to."""
    async with server(make_patient(tmp_path, max=1)) as (_, client):
        await subscribe(client, topic(hook.url))
        await dictate(client, "A1")
        assert (await client.post("Subscription", json=topic(hook.url))).status_code == 422
