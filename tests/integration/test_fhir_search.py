"""Searches over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from radbridge_adapters.fhir.store import include
from tests.support.fhir import observation, order, patient, report
from tests.support.fhir_fixtures import client, gateway

__all__ = ["client", "gateway"]


async def found(client: httpx.AsyncClient, query: str) -> list[str]:
    """The ids that a search matches."""
    answer = await client.get(query)
    assert answer.status_code == 200, answer.text
    return [e["resource"]["id"] for e in answer.json().get("entry", ()) if e["search"]["mode"] == "match"]


async def put(client: httpx.AsyncClient, id: str, document: dict[str, Any]) -> None:
    answer = await client.put(f"{document['resourceType']}/{id}", json=document | {"id": id})
    assert answer.status_code in (200, 201), answer.text


@pytest.fixture
async def people(client: httpx.AsyncClient) -> None:
    await put(client, "jane", patient("900001", birthDate="1970-03-01"))
    await put(client, "bjorn", patient("900002", name=[{"family": "Bjørnér-Smith", "given": ["Ole"]}], gender="male"))
    nobody = patient("900001", identifier=[{"system": "urn:other", "value": "900001"}], birthDate="1970")
    await put(client, "other", {k: v for k, v in nobody.items() if k not in ("name", "gender")})


FOUND: dict[str, set[str]] = {
    "identifier=900001": {"jane", "other"},
    "identifier=urn:oid:1.2.3|900001": {"jane"},
    "identifier=urn:other|": {"other"},
    "identifier=|900001": set(),
    "identifier=urn:oid:1.2.3|900001,urn:oid:1.2.3|900002": {"jane", "bjorn"},
    "gender=male": {"bjorn"},
    "gender:not=male": {"jane", "other"},
    "gender:missing=true": {"other"},
    "gender:missing=false": {"jane", "bjorn"},
    "family=do": {"jane"},
    "family=DOE": {"jane"},
    "family:exact=doe": set(),
    "family:exact=Doe": {"jane"},
    "family:contains=SMITH": {"bjorn"},
    "name=jan": {"jane"},
    "birthdate=1970-03-01": {"jane", "bjorn"},
    "birthdate=1970": {"jane", "bjorn", "other"},
    "birthdate=1970-03": {"jane", "bjorn"},
    "birthdate=ne1970-03": {"other"},
    "birthdate=gt1970-03-01": {"other"},
    "birthdate=lt1970-03-01": {"other"},
    "birthdate=ge1970-03-01": {"jane", "bjorn", "other"},
    "birthdate=sa1970": set(),
    "birthdate=eb1971": {"jane", "bjorn", "other"},
    "birthdate=gt1969&birthdate=lt1971": {"jane", "bjorn", "other"},
    "_id=jane,bjorn": {"jane", "bjorn"},
    "_id:not=jane": {"bjorn", "other"},
    "_lastUpdated=gt2020": {"jane", "bjorn", "other"},
    "_lastUpdated=lt2020": set(),
    "nonsense=1": {"jane", "bjorn", "other"},
}
"""A search of patients -> whom it finds."""


async def test_parameters(client: httpx.AsyncClient, people: None) -> None:
    """Each kind of parameter, modifier and prefix finds what R4 search.html says; unknown ones are ignored."""
    assert {query: set(await found(client, f"Patient?{query}&_count=10")) for query in FOUND} == FOUND


async def test_the_self_link_says_what_was_understood(client: httpx.AsyncClient, people: None) -> None:
    """A parameter that was ignored isn't in the self link, and under strict handling it is an error."""
    answer = (await client.get("Patient?nonsense=1&gender=male")).json()
    assert answer["link"][0]["url"].endswith("/Patient?gender=male")
    strict = await client.get("Patient?nonsense=1", headers={"prefer": "handling=strict"})
    assert (strict.status_code, strict.json()["issue"][0]["code"]) == (400, "not-supported")


async def test_references(client: httpx.AsyncClient) -> None:
    """By id, by type and id, by URL, by the identifier in the Reference, and by the identifier of what it points at."""
    base = str(client.base_url).rstrip("/")
    await put(client, "p1", patient("900001"))
    await put(client, "p2", patient("900002"))
    await put(client, "s1", order("A1", subject={"reference": "Patient/p1"}))
    await put(
        client,
        "r1",
        report("A1", "", subject={"reference": "Patient/p1"}, basedOn=[{"reference": "ServiceRequest/s1"}]),
    )
    await put(client, "r2", report("A2", "", subject={"reference": f"{base}/Patient/p2"}))
    await put(client, "r3", report("A3", "", subject={"identifier": {"system": "urn:x", "value": "900003"}}))
    for query, ids in {
        "patient=p1": ["r1"],
        "subject=Patient/p2": ["r2"],
        f"subject={base}/Patient/p2": ["r2"],
        "subject:Patient=p1": ["r1"],
        "subject:identifier=urn:x|900003": ["r3"],
        "patient.identifier=900001": ["r1"],
        "subject.identifier=urn:oid:1.2.3|900002": ["r2"],
        "based-on.identifier=A1": ["r1"],
        "based-on=s1": ["r1"],
        "based-on:missing=true": ["r2", "r3"],
        "status=partial&patient=p1": ["r1"],
    }.items():
        assert await found(client, f"DiagnosticReport?{query}") == ids, query


async def test_pages_hold_everything_once(client: httpx.AsyncClient) -> None:
    """Whatever is written between two pages, each resource that was there comes once, and the total is that of then."""
    for n in range(8):
        await put(client, f"p{n}", patient(str(n)))
    answer = (await client.get("Patient")).json()
    seen = [e["resource"]["id"] for e in answer["entry"]]
    assert (answer["total"], len(seen)) == (8, 3)
    await put(client, "p1", patient("1", gender="male"))
    await put(client, "p7", patient("7", gender="male"))
    await put(client, "late", patient("900"))
    while following := next((link["url"] for link in answer["link"] if link["relation"] == "next"), ""):
        answer = (await client.get(following)).json()
        assert answer["total"] == 8
        seen += [e["resource"]["id"] for e in answer["entry"]]
    assert seen == [f"p{n}" for n in range(8)]


async def test_a_next_link_tells_nobody_whom_it_is_about(client: httpx.AsyncClient) -> None:
    """The link to the next page holds no part of the search, and a garbled one is refused."""
    for n in range(4):
        await put(client, f"p{n}", patient("900001"))
    answer = (await client.get("Patient?identifier=900001")).json()
    following = next(link["url"] for link in answer["link"] if link["relation"] == "next")
    assert "900001" not in following
    assert (await client.get(following[:-4] + "AAAA")).status_code == 400
    assert (await client.get(following.replace("/Patient?", "/Observation?"))).status_code == 400


async def test_sorted_pages(client: httpx.AsyncClient) -> None:
    """By a date, up and down, with those without one at the beginning; over pages too."""
    for n, born in enumerate(["1980-01-01", "1950", "1990-05-05", "", "1970-03-01"]):
        person = patient(str(n), birthDate=born)
        await put(client, f"p{n}", person if born else {k: v for k, v in person.items() if k != "birthDate"})
    for sort, expected in {
        "birthdate": "p3 p1 p4 p0 p2",
        "-birthdate": "p2 p0 p4 p1 p3",
        "-_id": "p4 p3 p2 p1 p0",
    }.items():
        answer = (await client.get(f"Patient?_sort={sort}&_count=2")).json()
        seen = [e["resource"]["id"] for e in answer["entry"]]
        while following := next((link["url"] for link in answer["link"] if link["relation"] == "next"), ""):
            answer = (await client.get(following)).json()
            seen += [e["resource"]["id"] for e in answer["entry"]]
        assert " ".join(seen) == expected


async def test_posted_searches(client: httpx.AsyncClient, people: None) -> None:
    """The parameters may be posted as a form: then no patient stands in a URL."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await client.post("Patient/_search", content="identifier=urn:oid:1.2.3%7C900001", headers=form)
    assert [e["resource"]["id"] for e in answer.json()["entry"]] == ["jane"]
    assert (await client.post("Patient/_search", json={})).status_code == 415


async def test_only_the_total(client: httpx.AsyncClient, people: None) -> None:
    """A count comes without entries."""
    for query in ("_summary=count", "_count=0", "_count=0&_totalMethod=count"):
        answer = (await client.get(f"Patient?{query}")).json()
        assert (answer["total"], "entry" in answer) == (3, False)


async def test_elements(client: httpx.AsyncClient, people: None) -> None:
    """Only the elements that were asked for, and the resource says so."""
    answer = (await client.get("Patient?_id=jane&_elements=gender")).json()
    resource = answer["entry"][0]["resource"]
    assert resource.keys() == {"resourceType", "id", "meta", "gender"}
    assert resource["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_included(client: httpx.AsyncClient) -> None:
    """What a match refers to, and what refers to it, comes along once, marked as included."""
    await put(client, "p1", patient())
    await put(client, "s1", order(subject={"reference": "Patient/p1"}))
    await put(client, "o1", observation(subject={"reference": "Patient/p1"}))
    for n in (1, 2):
        await put(
            client,
            f"r{n}",
            report(
                f"A{n}",
                "",
                subject={"reference": "Patient/p1"},
                basedOn=[{"reference": "ServiceRequest/s1"}],
                result=[{"reference": "Observation/o1"}],
            ),
        )

    async def ids(query: str) -> dict[str, list[str]]:
        answer = (await client.get(query)).json()
        modes: dict[str, list[str]] = {}
        for entry in answer["entry"]:
            modes.setdefault(entry["search"]["mode"], []).append(entry["resource"]["id"])
        return modes

    reports = "DiagnosticReport?_id=r1,r2&_include=DiagnosticReport:"
    assert await ids(reports + "result") == {"match": ["r1", "r2"], "include": ["o1"]}
    assert await ids(reports + "subject:Patient") == {"match": ["r1", "r2"], "include": ["p1"]}
    assert await ids(reports + "*") == {"match": ["r1", "r2"], "include": ["o1", "p1", "s1"]}
    both = reports + "based-on&_include:iterate=ServiceRequest:subject"
    assert await ids(both) == {"match": ["r1", "r2"], "include": ["s1", "p1"]}
    assert await ids("Observation?_id=o1&_revinclude=DiagnosticReport:result") == {
        "match": ["o1"],
        "include": ["r1", "r2"],
    }
    assert (await client.get("DiagnosticReport?_include=DiagnosticReport:code")).status_code == 400


async def test_searches_and_writes_at_once(client: httpx.AsyncClient) -> None:
    """Sixteen clients that write and search find each what they wrote."""

    async def one(number: int) -> None:
        made = (await client.post("Patient", json=patient(f"N{number}"))).json()
        assert await found(client, f"Patient?identifier=N{number}") == [made["id"]]

    await asyncio.gather(*(one(n) for n in range(16)))


async def test_so_many_come_along(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more come along than the limit, and the page says that some are left out."""
    monkeypatch.setattr(include, "MAX_INCLUDED", 1)
    await put(client, "p1", patient())
    await put(client, "s1", order(subject={"reference": "Patient/p1"}))
    links: dict[str, Any] = {"subject": {"reference": "Patient/p1"}, "basedOn": [{"reference": "ServiceRequest/s1"}]}
    await put(client, "r1", report("A1", "", **links))
    found = (await client.get("DiagnosticReport?_id=r1&_include=DiagnosticReport:*")).json()
    assert [entry["search"]["mode"] for entry in found["entry"]] == ["match", "include", "outcome"]
