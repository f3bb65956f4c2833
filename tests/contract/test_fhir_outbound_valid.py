"""Everything of FHIR that leaves is valid for two validators that nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from radbridge.case import Case, CaseKey
from radbridge.draft import Flag, FlagKind, Severity, Span
from radbridge_adapters import fhir
from radbridge_adapters.fhir.subscriptions.bundle import Kind, Notification
from radbridge_adapters.fhir.subscriptions.events import Event
from radbridge_adapters.fhir.subscriptions.plan import Content, Plan, Status
from radbridge_adapters.resources.codes import DRAFT_TOPIC
from radbridge_adapters.resources.definitions import definitions
from radbridge_adapters.resources.draft import Composer, link_to
from radbridge_adapters.resources.json import write_json
from radbridge_adapters.resources.models import model_of
from radbridge_adapters.resources.outcome import Issue, outcome_of
from radbridge_adapters.resources.validate import validate
from tests.support.drafts import AT, CASE, DRAFT
from tests.support.live import live, make_site
from tests.support.peers import Validator

COMPOSER = Composer(lambda key: "ca5e", ttl=timedelta(hours=24))
CASES = (
    Case(key=CaseKey(accession="ACC900001")),
    replace(CASE, key=CaseKey(accession="ACC900001", issuer="urn:oid:1.2.3")),
)
FLAGGED = replace(
    DRAFT,
    flags=tuple(
        Flag(kind=kind, message="Invented.", severity=severity, spans=(Span(section="draft", start=0, end=4),))
        for kind in FlagKind
        for severity in Severity
    ),
)
SOURCE = {
    "resourceType": "DiagnosticReport",
    "id": "h1",
    "subject": {"reference": "Patient/p1"},
    "basedOn": [{"reference": "ServiceRequest/s1"}],
    "imagingStudy": [{"reference": "ImagingStudy/i1"}],
}


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    with Validator() as both:
        yield both


def drafted() -> Iterator[dict[str, Any]]:
    for case in CASES:
        for draft in (FLAGGED, replace(FLAGGED, flags=(), text="")):
            made = COMPOSER.compose(case, draft)
            for resources in (made, link_to(made, SOURCE), COMPOSER.withdraw(case, draft)):
                yield from (dict(one) for one in (resources.observation, resources.report, resources.provenance))


def test_drafts(validator: Validator) -> None:
    """Every draft, flagged or not, linked or not, and every withdrawal is valid R4."""
    for resource in drafted():
        assert validator.problems(resource) == []


def notified(*, is_r4b: bool) -> Iterator[dict[str, Any]]:
    """Every kind of notification in every content."""
    made = COMPOSER.compose(CASES[1], FLAGGED)
    observation, report, _ = made.placed({made.urns[0]: "Observation/o1"})
    event = Event(
        seq=1,
        number=7,
        attempts=0,
        next_at=AT,
        type="DiagnosticReport",
        id="r1",
        at=AT,
        method="PUT",
        version=2,
        raw=write_json({**report, "id": "r1"}),
    )
    beside = {"Observation/o1": {**observation, "id": "o1", "meta": {**observation["meta"], "versionId": "1"}}}
    for content in Content:
        plan = Plan(
            id="s1",
            status=Status.ACTIVE,
            type="DiagnosticReport",
            topic=DRAFT_TOPIC,
            content=content,
            is_r4b=is_r4b,
            endpoint="http://127.0.0.1/hook",
            timeout_s=1.0,
            base="http://127.0.0.1/fhir",
        )
        for kind in Kind:
            events = [event] if kind in (Kind.EVENT, Kind.QUERY) else []
            note = Notification(plan=plan, kind=kind, total=7, events=events, beside=beside)
            yield note.searchset() if kind is Kind.STATUS else note.bundle()


def test_notifications(validator: Validator) -> None:
    """Every notification of a topic in R4's form, and the answer of $status, is valid R4."""
    for bundle in notified(is_r4b=False):
        assert validator.problems(bundle) == []


def test_notifications_as_r4b() -> None:
    """In R4B's form, which those validators don't know, they are what fhir.resources takes for R4B."""
    for bundle in notified(is_r4b=True):
        validate(bundle)
        for entry in bundle["entry"]:
            if "resource" in entry:
                model_of(entry["resource"]["resourceType"]).model_validate(entry["resource"])


@pytest.mark.parametrize("name", sorted(definitions()))
def test_definitions(validator: Validator, name: str) -> None:
    """Each definition that is published is valid R4."""
    assert validator.problems(dict(definitions()[name])) == []


async def test_capabilities(validator: Validator, tmp_path: Path) -> None:
    """The CapabilityStatement is valid R4, and so are the definitions as they are served."""
    async with (
        live(make_site(tmp_path), fhir.wire) as gateway,
        httpx.AsyncClient(base_url=f"{gateway.base}/fhir/", timeout=60) as client,
    ):
        statement = (await client.get("metadata")).json()
        assert validator.problems(statement) == []
        told = {one["type"]: one for one in statement["rest"][0]["resource"]}
        for kind, name in (("DiagnosticReport", "draft-report"), ("Observation", "draft-impression")):
            [profile] = told[kind]["supportedProfile"]
            assert (await client.get(f"StructureDefinition/{name}")).json()["url"] == profile
        assert [one["name"] for one in told["DiagnosticReport"]["operation"]] == ["draft-impression"]
        assert (await client.get("StructureDefinition/none")).status_code == 404


def test_outcomes(validator: Validator) -> None:
    """An OperationOutcome with and without a place is valid R4."""
    issues = [
        Issue(code="value", expression="Patient.active", diagnostics="no boolean"),
        Issue(code="business-rule", diagnostics="not now", severity="information"),
    ]
    assert validator.problems(outcome_of(issues)) == []
