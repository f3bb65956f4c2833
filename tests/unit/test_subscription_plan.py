"""Subscriptions as they are understood, and what of them is stored and shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from radbridge.config import FhirSubscriptions
from radbridge.flow.intake import JournalIntake
from radbridge.journal import Journal
from radbridge.metrics import Metrics
from radbridge.scopes import parse_scopes
from radbridge_adapters.fhir.execution import Author
from radbridge_adapters.fhir.subscriptions import Subscriptions
from radbridge_adapters.fhir.subscriptions.plan import (
    BACKPORT,
    BASE_EXTENSION,
    MAX_CRITERIA,
    Content,
    Status,
    mask,
    read_plan,
)
from radbridge_adapters.resources.codes import DRAFT_TOPIC
from radbridge_adapters.resources.outcome import Issues
from radbridge_adapters.security import Client
from tests.support.live import make_site

Document = dict[str, Any]

SETTINGS = FhirSubscriptions(allow_hosts=("hook.example",), timeout_s=10.0)


def subscription(criteria: str = "DiagnosticReport?status=partial", **channel: Any) -> Document:
    return {
        "resourceType": "Subscription",
        "id": "s1",
        "status": "active",
        "reason": "Drafts",
        "criteria": criteria,
        "channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1/hook/", **channel},
    }


def topic(content: str = "id-only", **channel: Any) -> Document:
    payload = {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": content}]}
    return subscription(DRAFT_TOPIC, **{"payload": "application/fhir+json", "_payload": payload, **channel})


def test_plain() -> None:
    """A plain one is a search; without a payload it is empty, with one it has the whole resource."""
    plan = read_plan(subscription(), SETTINGS)
    assert (plan.type, plan.topic, plan.content, plan.heartbeat_s) == ("DiagnosticReport", "", Content.EMPTY, None)
    assert plan.endpoint == "http://127.0.0.1/hook"
    assert read_plan(subscription(payload="application/fhir+json"), SETTINGS).content is Content.FULL


def test_topic() -> None:
    """A topic's wishes are read from the Backport extensions, and the site's limits hold."""
    wishes = [
        {"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 30},
        {"url": f"{BACKPORT}/backport-timeout", "valueUnsignedInt": 3600},
        {"url": f"{BACKPORT}/backport-max-count", "valuePositiveInt": 20},
    ]
    plan = read_plan(topic(extension=wishes), SETTINGS)
    assert (plan.topic, plan.content, plan.is_r4b) == (DRAFT_TOPIC, Content.ID_ONLY, False)
    assert (plan.heartbeat_s, plan.timeout_s, plan.max_count) == (30.0, 10.0, 20)
    assert read_plan(topic(payload="application/fhir+json; fhirVersion=4.3"), SETTINGS).is_r4b


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9/x", "http://[::1]/x", "https://localhost/x", "https://HOOK.example/x"]
)
def test_allowed_endpoints(endpoint: str) -> None:
    """This machine, and the hosts that the site names."""
    assert read_plan(subscription(endpoint=endpoint), SETTINGS).endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint",
    ["http://example.org/x", "http://hook.example.evil/x", "http://127.0.0.1.evil/x", "http://169.254.169.254/x", "//x",
     "http://a@127.0.0.1/x", "http://127.0.0.1/x?token=1", "gopher://127.0.0.1/x", "http://[::1", "http://127.0.0.1:x/",
     ""],
)  # fmt: skip
def test_other_endpoints(endpoint: str) -> None:
    """No other host, no other scheme, no credentials in the URL."""
    with pytest.raises(Issues) as refused:
        read_plan(subscription(endpoint=endpoint), SETTINGS)
    assert refused.value.issues[0].expression == "Subscription.channel.endpoint"
    assert refused.value.status == 422


@pytest.mark.parametrize("header", ["Host: x", "content-length: 1", "no colon", "X: a\r\nY: b", "X: ***", ": x", "X:"])
def test_headers_that_are_refused(header: str) -> None:
    """A header can't be smuggled in, replace one of ours, or be its own mask."""
    with pytest.raises(Issues):
        read_plan(subscription(header=[header]), SETTINGS)


@pytest.mark.parametrize("name", ["status", "criteria"])
def test_values_that_are_only_extended(name: str) -> None:
    """R4 lets an extension stand where a value is required; a Subscription without the value can't be served."""
    document = subscription()
    del document[name]
    with pytest.raises(Issues) as refused:
        read_plan(document | {f"_{name}": {"extension": [{"url": "x", "valueCode": "y"}]}}, SETTINGS)
    assert refused.value.issues[0].expression == f"Subscription.{name}"


def test_masks() -> None:
    """What is shown of a header is its name."""
    shown = mask(subscription(header=["Authorization: Bearer s3cret", "X-A: b"]))
    assert shown["channel"]["header"] == ["Authorization: ***", "X-A: ***"]
    assert mask(subscription()) == subscription()


def test_ends() -> None:
    """The end is a moment."""
    plan = read_plan(subscription() | {"end": "2026-01-02T03:04:05Z"}, SETTINGS)
    assert plan.end == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def test_what_is_stored(tmp_path: Path) -> None:
    """It is `requested` whatever the client says, with the base they know us by, and only of what they may read."""
    site = make_site(tmp_path)
    journal = await Journal.open(site.store.url)
    try:
        made = Subscriptions(site, JournalIntake(journal, Metrics(), lambda: None))
        everything = Author(client=Client(id="a"), base="http://127.0.0.1/fhir")
        stored = made.rule(
            topic() | {"error": "x", "extension": [{"url": BASE_EXTENSION, "valueUrl": "x"}]}, everything
        )
        assert stored["status"] == Status.REQUESTED
        assert stored["extension"] == [{"url": BASE_EXTENSION, "valueUrl": "http://127.0.0.1/fhir"}]
        assert "error" not in stored
        assert made.rule(topic() | {"status": "off"}, everything)["status"] == "off"
        for scopes in (["system/Subscription.cruds"], ["system/Subscription.cruds", "system/DiagnosticReport.rs"]):
            narrow = Author(client=Client(id="b", scopes=parse_scopes(scopes)))
            with pytest.raises(Issues) as refused:
                made.rule(topic(), narrow)
            assert refused.value.status == 403
        assert made.rule(subscription(), narrow)
    finally:
        await journal.close()


def test_a_search_has_so_many_parameters() -> None:
    """A Subscription whose search has one parameter more is refused; it would be asked with every change."""
    most = "DiagnosticReport?" + "&".join(["status=partial"] * MAX_CRITERIA)
    assert read_plan(subscription(most), SETTINGS).type == "DiagnosticReport"
    with pytest.raises(Issues) as refused:
        read_plan(subscription(f"{most}&status=partial"), SETTINGS)
    assert (refused.value.status, refused.value.issues[0].expression) == (422, "Subscription.criteria")
