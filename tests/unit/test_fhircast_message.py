"""FHIRcast events read from JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.message import parse_event, read_event, write_time
from tests.support.fhircast import event

WORDS = "event id timestamp hub.topic hub.event context key resource reference".split()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
)
REPORT = {"resourceType": "DiagnosticReport", "id": "r1"}


def parse(**changes: Any) -> Any:
    return parse_event(
        json.dumps(event("DiagnosticReport-open", [{"key": "report", "resource": REPORT}]) | changes).encode()
    )


@pytest.mark.parametrize(
    "item",
    [
        {"key": "report", "resource": REPORT},
        {"key": "report", "reference": {"reference": "DiagnosticReport/r1"}},
        {"key": "report", "reference": [{"reference": "Patient/p"}, {"reference": "DiagnosticReport/r1"}]},
        {"key": "report", "resource": {"reference": "DiagnosticReport/r1"}},
        {"key": "report", "reference": {"reference": "https://ehr.example/fhir/DiagnosticReport/r1/_history/3"}},
    ],
)
def test_the_anchor_is_found_in_every_shape_of_a_context_item(item: dict[str, Any]) -> None:
    """A report is the anchor whether 3.0.0 or one of its ballots wrote the context item."""
    assert read_event(event("diagnosticreport-update", [item])).anchor == ("DiagnosticReport", "r1")


def test_an_event_is_written_as_it_was_read() -> None:
    """An event is distributed with its sender's id, timestamp and context, under the receiver's topic."""
    said = event("DiagnosticReport-open", [{"key": "report", "resource": REPORT}])
    assert read_event(said).write("topic") == said


def test_a_time_without_a_zone_is_utc() -> None:
    """`timestamp` is UTC by definition, so one without a zone has it."""
    assert parse(timestamp="2026-01-08T01:37:05.140").at == datetime(2026, 1, 8, 1, 37, 5, 140000, UTC)
    assert write_time(datetime(2026, 1, 8, tzinfo=UTC)) == "2026-01-08T00:00:00.000Z"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": ""}, "no_id"),
        ({"id": 7}, "type"),
        ({"id": "x" * 300}, "no_id"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"event": None}, "no_event"),
        ({"event": {"hub.topic": "t", "hub.event": "Patient-open", "context": {}}}, "context"),
        ({"event": {"hub.topic": "t", "hub.event": "a b", "context": []}}, "event_name"),
        ({"event": {"hub.topic": 5, "hub.event": "Patient-open", "context": []}}, "type"),
    ],
)
def test_what_is_wrong_with_an_event_is_named(changes: dict[str, Any], reason: str) -> None:
    """An event that can't be read is refused with 400 and a fixed word for what is wrong."""
    with pytest.raises(CastFault) as caught:
        parse(**changes)
    assert (caught.value.status, caught.value.reason) == (400, reason)


@pytest.mark.parametrize(
    "told", [{"id": "r" * 1001}, {"identifier": [{"value": "é" * 501}]}, {"performer": [{"display": "x" * 1001}]}]
)
def test_an_identifier_without_end_is_refused(told: dict[str, Any]) -> None:
    """What no case, patient or signer could be found by is refused at once, and told which part it was in."""
    with pytest.raises(CastFault, match="longer than 1000 bytes") as caught:
        read_event(event("DiagnosticReport-open", [{"key": "report", "resource": REPORT | told}]))
    assert (caught.value.status, caught.value.reason, caught.value.where) == (400, "key_too_long", "event.context")


def test_an_event_about_nothing_is_refused() -> None:
    """An event that needs an anchor and names none is refused."""
    with pytest.raises(CastFault) as caught:
        _ = read_event(event("DiagnosticReport-open", [])).anchor
    assert caught.value.reason == "no_anchor"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_bytes_that_are_no_event_are_a_fault(raw: bytes) -> None:
    """Bytes that are no event are a fault with 400: never another error."""
    with pytest.raises(CastFault) as caught:
        parse_event(raw)
    assert caught.value.status == 400


@given(JSON)
def test_any_json_is_an_event_or_a_fault(document: Any) -> None:
    """Any JSON is an event or a fault: never another error."""
    try:
        found = parse_event(json.dumps(document).encode())
        _ = found.anchor
    except CastFault:
        return
    assert found.id


def test_deep_nesting_is_refused_before_it_is_read() -> None:
    """Ten thousand levels are refused with 400."""
    with pytest.raises(CastFault):
        parse_event(b'{"event":' * 10_000)
