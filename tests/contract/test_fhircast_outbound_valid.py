"""Everything that our FHIRcast side writes of its own is FHIR by two validators that nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from radbridge_adapters.fhircast.content import collect
from radbridge_adapters.fhircast.dialect import find_dialect
from radbridge_adapters.fhircast.hub import make_update
from radbridge_adapters.fhircast.message import read_event
from radbridge_adapters.fhircast.observation import Observer
from radbridge_adapters.fhircast.session import Open, Session, take
from radbridge_adapters.fhircast.sink import UpdateComposer, read_payload
from radbridge_adapters.fhircast.syncerror import make_sync_error
from radbridge_adapters.resources.draft import Composer
from tests.support.drafts import CASE, DRAFT
from tests.support.fhircast import event, report_context
from tests.support.peers import Validator

COMPOSER = UpdateComposer(Observer(Composer(lambda _: "0" * 32, ttl=timedelta(hours=24))))


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    with Validator() as running:
        yield running


def opened() -> Open:
    """The case's report, open."""
    said = read_event(event("DiagnosticReport-open", report_context(CASE.key.accession)))
    context = take(Session(), said, version="v1", dialect=find_dialect("stu3")).session.current
    assert context is not None
    return context


def updates(payload: bytes) -> Any:
    """The Bundle of the update that a payload becomes."""
    _, changes = read_payload(payload)
    item = make_update(opened(), "RB234", changes, find_dialect("stu3")).item("updates")
    assert item is not None
    return item["resource"]


@pytest.mark.parametrize("draft", [DRAFT, replace(DRAFT, flags=()), replace(DRAFT, text="One.\x00\n\nTwo.")])
def test_a_draft_is_valid(validator: Validator, draft: Any) -> None:
    """The update with a draft, its Observation, and the content with it in are valid."""
    bundle = updates(COMPOSER.compose(CASE, draft))
    [entry] = bundle["entry"]
    assert entry["resource"]["status"] == "preliminary"
    assert validator.problems(entry["resource"]) == []
    assert validator.problems(bundle) == []
    assert validator.problems(collect({"Observation/1": entry["resource"]}, "v1")) == []


def test_a_withdrawal_is_valid(validator: Validator) -> None:
    """The update that deletes it is valid, and names the very resource."""
    put, gone = (updates(make(CASE, DRAFT)) for make in (COMPOSER.compose, COMPOSER.compose_withdrawal))
    assert validator.problems(gone) == []
    assert gone["entry"][0]["request"]["url"] == put["entry"][0]["request"]["url"]


def test_a_sync_error_is_valid(validator: Validator) -> None:
    """The OperationOutcome of a SyncError is valid, and so is an empty content."""
    item = make_sync_error("e1", "Patient-open", "PACS", "refused").item("operationoutcome")
    assert item is not None
    assert validator.problems(item["resource"]) == []
    assert validator.problems(collect({}, "v1")) == []
