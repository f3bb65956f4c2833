"""Transactions planned, before a database is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.fhir.route import Router
from radbridge_adapters.fhir.transaction import plan
from radbridge_adapters.resources.outcome import Issues

BASE = "http://here/fhir"
ROUTER = Router()
METHODS = {
    "create": {"request": {"method": "POST", "url": "Patient"}, "resource": {"resourceType": "Patient"}},
    "update": {"request": {"method": "PUT", "url": "Patient/{n}"}, "resource": {"resourceType": "Patient"}},
    "read": {"request": {"method": "GET", "url": "Patient/{n}"}},
    "search": {"request": {"method": "GET", "url": "Patient?name=a"}},
}


def entry(kind: str, number: int) -> dict[str, Any]:
    made: dict[str, Any] = {**METHODS[kind]}
    url = str(made["request"]["url"]).replace("{n}", f"p{number}")
    return {**made, "fullUrl": f"urn:uuid:{number}", "request": {**made["request"], "url": url}}


@given(st.lists(st.sampled_from(sorted(METHODS)), max_size=12))
def test_the_standards_order(kinds: list[str]) -> None:
    """Creates go before updates and both before reads; among equals the order of the entries stays; none is lost."""
    made = plan({"entry": [entry(kind, n) for n, kind in enumerate(kinds)]}, BASE, ROUTER)
    assert [e.index for e in made.entries] == list(range(len(kinds)))
    order = [e.index for e in made.writers]
    ranked = sorted((n for n, k in enumerate(kinds) if k in ("create", "update")), key=lambda n: kinds[n] == "update")
    assert order == ranked
    assert [i.method for i in made.intents] == ["POST" if kinds[n] == "create" else "PUT" for n in ranked]
    assert [e.index for e in made.readers] == [n for n, k in enumerate(kinds) if k in ("read", "search")]


def test_addresses_below_our_base() -> None:
    """An entry may name its address in full."""
    made = plan({"entry": [{"request": {"method": "GET", "url": f"{BASE}/Patient/1"}}]}, BASE, ROUTER)
    assert (made.readers[0].found.type, made.readers[0].found.id) == ("Patient", "1")


def test_all_problems_at_once() -> None:
    """What can be seen of every entry is told together, each with its place."""
    broken = [
        {"request": {"method": "DELETE", "url": "Patient/1"}},
        {"request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "POST", "url": "Patient"}, "resource": {"resourceType": "Observation"}},
        {"request": {"method": "POST", "url": "_nonsense"}, "resource": {"resourceType": "Patient"}},
        {"request": {"method": "GET", "url": "metadata"}},
    ]
    with pytest.raises(Issues) as caught:
        plan({"entry": broken}, BASE, ROUTER)
    assert [issue.expression for issue in caught.value.issues] == [
        "Bundle.entry[0].request.url",
        "Bundle.entry[1].resource",
        "Bundle.entry[2].request.url",
        "Bundle.entry[3].request.url",
        "Bundle.entry[4].request.url",
    ]
    assert caught.value.status == 400


def test_conditions() -> None:
    """If-None-Exist of a POST, criteria and If-Match of a PUT become conditions of the intents."""
    create = entry("create", 1)
    create["request"]["ifNoneExist"] = "identifier=a|b"
    update = entry("update", 2)
    update["request"] |= {"url": "Patient?identifier=c", "ifMatch": 'W/"3"'}
    first, second = plan({"entry": [create, update]}, BASE, ROUTER).intents
    assert first.condition is not None
    assert first.condition.applied == (("identifier", "a|b"),)
    assert second.condition is not None
    assert (second.condition.applied, second.if_match, second.id) == ((("identifier", "c"),), 3, "")
