"""What the server says of itself, and that it is so."""

from __future__ import annotations

from pathlib import Path

import httpx

from radbridge_adapters import fhir
from radbridge_adapters.fhir.search.params import PARAMS
from radbridge_adapters.fhir.types import TYPES
from radbridge_adapters.resources.validate import validate
from tests.support.fhir import JSON, patient
from tests.support.fhir_fixtures import client, gateway
from tests.support.live import LiveGateway, live, make_site

__all__ = ["client", "gateway"]


async def test_the_statement(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """The CapabilityStatement is valid R4, names every type with its parameters, and says that the server is open."""
    statement = (await client.get("metadata")).json()
    validate(statement)
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["implementation"]["url"] == f"{gateway.base}/fhir"
    rest = statement["rest"][0]
    assert "open" in rest["security"]["description"]
    told = {r["type"]: {p["name"] for p in r.get("searchParam", ())} for r in rest["resource"]}
    assert told == {kind: set(PARAMS[kind]) for kind in TYPES}
    audit = next(r for r in rest["resource"] if r["type"] == "AuditEvent")
    assert {i["code"] for i in audit["interaction"]} == {"read", "vread", "history-instance", "search-type"}


async def test_every_parameter_that_is_named_is_understood(client: httpx.AsyncClient) -> None:
    """Each search parameter of the statement is taken even under strict handling."""
    values = {"date": "2026", "reference": "x", "token": "x", "string": "x", "uri": "urn:x"}
    statement = (await client.get("metadata")).json()
    for resource in statement["rest"][0]["resource"]:
        pairs = [f"{p['name']}={values[p['type']]}" for p in resource.get("searchParam", ())]
        includes = [f"_include={i}" for i in resource.get("searchInclude", ())]
        includes += [f"_revinclude={i}" for i in resource.get("searchRevInclude", ())]
        for query in (pairs, includes):
            address = f"{resource['type']}?{'&'.join(query)}"
            answer = await client.get(address, headers={"prefer": "handling=strict"})
            assert answer.status_code == 200, answer.text


async def test_the_openapi_document(client: httpx.AsyncClient) -> None:
    """Every operation of the OpenAPI document is there: none answers 405, whatever else is wrong with the request."""
    document = (await client.get("openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    for path, operations in document["paths"].items():
        address = path.replace("{id}", "none").replace("{version}", "1").lstrip("/")
        for method in operations:
            answer = await client.request(method, address, content=b"{}")
            assert answer.status_code not in (405, 500), (method, path)


async def test_the_smart_document_needs_no_login(client: httpx.AsyncClient) -> None:
    """Whoever wants a token learns where to get it."""
    document = (await client.get(".well-known/smart-configuration")).json()
    assert document["token_endpoint"].endswith("/oauth2/token")
    assert document["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]


async def test_no_web_page_may_call(client: httpx.AsyncClient) -> None:
    """Without named origins no answer has a CORS header, and a preflight is refused."""
    asked = {"origin": "https://page.example", "access-control-request-method": "GET"}
    preflight = await client.options("Patient", headers=asked)
    answer = await client.get("metadata", headers={"origin": "https://page.example"})
    assert preflight.status_code == 405
    assert not [name for name in (*preflight.headers, *answer.headers) if name.startswith("access-control")]


async def test_a_named_web_page_may_call(tmp_path: Path) -> None:
    """A page of a named origin may call, and no other."""
    site = make_site(tmp_path, fhir={"cors_origins": ["https://page.example"]})
    async with (
        live(site, fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base + "/fhir/", headers=JSON, timeout=60) as client,
    ):
        for origin, allowed in (("https://page.example", "https://page.example"), ("https://other.example", None)):
            answer = await client.get("metadata", headers={"origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed
        asked = {"origin": "https://page.example", "access-control-request-method": "PUT"}
        preflight = await client.options("Patient/1", headers=asked)
        assert (preflight.status_code, preflight.content) == (204, b"")
        assert "PUT" in preflight.headers["access-control-allow-methods"]


async def test_the_base_url_of_a_proxy(tmp_path: Path) -> None:
    """Behind a proxy every address that is told is the configured one, whatever Host the request has."""
    site = make_site(tmp_path, fhir={"base_url": "https://radbridge.example/fhir", "open": True})
    async with (
        live(site, fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base + "/fhir/", headers=JSON, timeout=60) as client,
    ):
        made = await client.post("Patient", json=patient())
        assert made.headers["location"].startswith("https://radbridge.example/fhir/Patient/")
        told = (await client.get("Patient")).json()
        assert told["link"][0]["url"] == "https://radbridge.example/fhir/Patient"
