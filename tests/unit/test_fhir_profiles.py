"""What we publish of our own: every extension that is written is defined, and every definition is told of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from radbridge_adapters.resources.codes import CANONICAL
from radbridge_adapters.resources.definitions import definitions
from radbridge_adapters.resources.draft import Composer
from radbridge_adapters.resources.validate import validate
from tests.support.drafts import CASE, DRAFT

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "fhir-profiles.md"


def written() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every resource that a draft is, with its type."""
    composer = Composer(lambda key: "ca5e", ttl=timedelta(hours=1))
    for made in (composer.compose(CASE, DRAFT), composer.withdraw(CASE, replace(DRAFT, flags=()))):
        for one in (made.observation, made.report, made.provenance):
            yield one["resourceType"], dict(one)


@pytest.mark.parametrize("name", sorted(definitions()))
def test_definitions_are_valid(name: str) -> None:
    """Each definition is valid R4."""
    validate(definitions()[name])


def test_what_is_written_is_defined() -> None:
    """Each extension of a draft has a StructureDefinition whose context is its resource, and a value of its type."""
    for kind, resource in written():
        for extension in resource["extension"]:
            name = extension["url"].removeprefix(f"{CANONICAL}/")
            definition = definitions()[name]
            assert definition["url"] == extension["url"]
            assert {"type": "element", "expression": kind} in definition["context"]
            elements = {element["id"]: element for element in definition["differential"]["element"]}
            value = elements["Extension.value[x]"]
            if value.get("max") == "0":
                assert {part["url"] for part in extension["extension"]} <= {
                    id.partition(":")[2] for id in elements if id.count(":") == 1 and id.count(".") == 1
                }
            else:
                [code] = [one["code"] for one in value["type"]]
                assert f"value{code[0].upper()}{code[1:]}" in extension


def test_profiles_are_claimed() -> None:
    """Each resource of a draft claims a profile that is published, and fixes the status that it has."""
    for kind, resource in written():
        [url] = resource["meta"]["profile"]
        definition = definitions()[url.removeprefix(f"{CANONICAL}/")]
        assert definition["type"] == kind
        told = [e for e in definition["differential"]["element"] if e["path"] == f"{kind}.status"]
        if told:
            assert f"'{resource['status']}'" in told[0]["constraint"][0]["expression"]


def test_the_reference_names_all() -> None:
    """The reference page names every definition."""
    page = DOCS.read_text(encoding="utf-8")
    for definition in definitions().values():
        assert definition.get("url", definition["id"]).removeprefix(f"{CANONICAL}/") in page


def test_the_example_is_a_draft() -> None:
    """The example in the reference is what is written, to the letter."""
    example = json.loads(re.findall(r"```json\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[0])
    name = example["identifier"][0]["value"]
    assert Composer(lambda key: name, ttl=timedelta(hours=24)).compose(CASE, DRAFT).report == example
