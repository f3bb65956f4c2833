"""The validators that judge what leaves here are proven to judge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.peers import Validator

REPORT: dict[str, Any] = {
    "resourceType": "DiagnosticReport",
    "status": "partial",
    "code": {"coding": [{"system": "http://loinc.org", "code": "18748-4"}]},
    "subject": {"reference": "Patient/1"},
    "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIAST"}]},
}


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    with Validator() as running:
        yield running


def test_a_good_resource_passes_both(validator: Validator) -> None:
    """Neither validator complains of a plain report."""
    assert validator.problems(REPORT) == []


@pytest.mark.parametrize(
    ("change", "by"),
    [
        ({"status": "nonsense"}, {"lantana"}),
        ({"bogus": 1}, {"medplum", "lantana"}),
        ({"code": None}, {"medplum", "lantana"}),
        ({"result": [{"reference": "Patient/2"}]}, {"lantana"}),
        ({"effectiveDateTime": "2026-13-45"}, {"medplum"}),
        ({"subject": {"reference": 5}}, {"medplum"}),
    ],
    ids=["code", "unknown", "missing", "target", "date", "type"],
)
def test_what_is_wrong_is_found(validator: Validator, change: dict[str, Any], by: set[str]) -> None:
    """An error of each kind is found by at least the validator that is there for it."""
    wrong = {name: value for name, value in (REPORT | change).items() if value is not None}
    assert by <= {who for who, found in validator.by_validator(wrong).items() if found}
