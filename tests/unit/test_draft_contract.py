"""docs/reference/draft-contract.md: its tables say what is composed and what is checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from radbridge_adapters.conformance import dicom, fhir, fhircast, hl7v2
from radbridge_adapters.dicom.encoding.part10 import read_part10
from radbridge_adapters.hl7v2.compose import Addressing, Composer
from radbridge_adapters.hl7v2.header import read_message
from radbridge_adapters.resources import draft as drafts
from radbridge_adapters.resources.extensions import url_of
from tests.support.drafts import CASE, DRAFT
from tests.support.sr import SHAPES, items, write

PAGE = (Path(__file__).parents[2] / "docs/reference/draft-contract.md").read_text()
MADE = drafts.Composer(lambda _: "name", ttl=timedelta(hours=1)).compose(CASE, DRAFT)
RESOURCES = {"Observation": MADE.observation, "DiagnosticReport": MADE.report, "Provenance": MADE.provenance}
MESSAGE = read_message(Composer(Addressing(application="RADBRIDGE")).compose(CASE, DRAFT, "C1"), "utf-8")
DOCUMENT = read_part10(write(SHAPES["full"]))
HL7_EMPTY = {"OBR-2", "ORC-2"}
"""The specimen's order has no placer number."""


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    section = PAGE.split(heading, 1)[1]
    lines = re.findall(r"^\|(.*)\|$", section.split("\n\n#")[0].split("\n\nValues")[0], re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


ROWS = table("## 4. Every field, side by side")


def places(column: int, pattern: str) -> Iterator[str]:
    for row in ROWS:
        yield from re.findall(pattern, row[column])


def find(resource: Any, path: list[str]) -> Any:
    for name in path:
        if ":" in name:
            wanted = url_of(name.partition(":")[2])
            return next((one for one in resource["extension"] if one["url"] == wanted), None)
        resource = resource.get(name) if isinstance(resource, dict) else None
    return resource


def test_every_row_has_every_wire() -> None:
    """No cell is empty: what a wire doesn't carry is said to be none."""
    assert len(ROWS) > 20
    assert [row[0] for row in ROWS if len(row) != 5 or not all(row)] == []


@pytest.mark.parametrize("place", sorted(set(places(1, r"[A-Z]{2}[A-Z0-9]-\d+"))))
def test_every_hl7_field_is_valued(place: str) -> None:
    """A field of the table is valued in what we send."""
    segment, number = place.split("-")
    found = MESSAGE.first(segment)
    assert found is not None
    assert found.raw(int(number)) or place in HL7_EMPTY


@pytest.mark.parametrize(
    "place", sorted({*places(2, r"`([A-Z]\w+\.[\w.:-]+)`"), *places(3, r"`([A-Z]\w+\.[\w.:-]+)`")})
)
def test_every_fhir_element_is_there(place: str) -> None:
    """An element of the table is there in what we compose; only the id is FHIRcast's own."""
    kind, *path = place.split(".")
    assert find(RESOURCES[kind], path) or place == "Observation.id"


@pytest.mark.parametrize("keyword", sorted(set(places(4, r"`([A-Z]\w+)`"))))
def test_every_dicom_attribute_is_valued(keyword: str) -> None:
    """An attribute of the table is valued in the SR that we send."""
    assert DOCUMENT.get(keyword)


@pytest.mark.parametrize("code", sorted(set(places(4, r"\b(\d{6})\b"))))
def test_every_dicom_concept_is_there(code: str) -> None:
    """A concept of the table is a content item of the SR that we send."""
    assert items(DOCUMENT, code)


def test_the_page_lists_every_check() -> None:
    """What the command checks, with its weight, its words and its clause."""
    wanted = [
        [f"`{c.id}`", c.level.value, c.promise, c.clause]
        for checks in (hl7v2.CHECKS, fhir.CHECKS, fhircast.CHECKS, dicom.CHECKS)
        for c in checks
    ]
    assert table("## 7. Check your own receiver") == wanted


def test_every_clause_of_the_contract_is_a_heading() -> None:
    """A check that names a clause of the contract names one that is there."""
    every = (hl7v2.CHECKS, fhir.CHECKS, dicom.CHECKS)
    clauses = [c.clause for checks in every for c in checks if c.clause.startswith("contract ")]
    assert clauses
    for clause in clauses:
        number = re.escape(clause.removeprefix("contract "))
        assert re.search(rf"^#+ {number}[. ]", PAGE, re.MULTILINE), clause
