"""Values that no index takes, and searches that no statement holds, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from radbridge_adapters import fhir
from tests.support.fhir import JSON, patient, report
from tests.support.journals import url
from tests.support.live import live, make_site

__all__ = ["url"]

LONG = "x" * 4000
MANY = "&".join(f"_id={n},{','.join(str(n) for n in range(90))}" for n in range(12))


@pytest.fixture
async def client(url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        live(make_site(tmp_path, store={"url": url}), fhir.wire) as gateway,
        httpx.AsyncClient(base_url=f"{gateway.base}/fhir/", headers=JSON, trust_env=False, timeout=60) as client,
    ):
        yield client


def problem(answer: httpx.Response) -> tuple[int, str]:
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return answer.status_code, outcome["issue"][0]["code"]


async def test_what_is_too_long_is_refused_with_its_reason(client: httpx.AsyncClient) -> None:
    """A value that nothing could be found by, a search for one, and a search for too many are 400, never 500 or 503."""
    found: dict[str, Any] = {}
    for name, document in (
        ("identifier", patient(LONG)),
        ("reference", report(subject={"reference": f"Patient/{LONG}"})),
        ("system", patient(identifier=[{"system": f"urn:{LONG}", "value": "1"}])),
    ):
        found[name] = problem(await client.post(document["resourceType"], json=document))
    for query in (f"identifier={LONG}", f"name={LONG}", f"_id={LONG}", f"identifier={LONG}%7C1"):
        found[query.partition("=")[0]] = problem(await client.get(f"Patient?{query}"))
    form = {"content-type": "application/x-www-form-urlencoded"}
    found["name"] = problem(await client.post("Patient/_search", content=f"name:contains={LONG * 20}", headers=form))
    condition = {"if-none-exist": f"identifier={LONG}"}
    found["condition"] = problem(await client.post("Patient", json=patient(), headers=condition))
    assert set(found.values()) == {(400, "too-long")}, found
    assert problem(await client.post("Patient/_search", content=MANY, headers=form)) == (400, "too-costly")


async def test_a_long_name_is_stored_and_found(client: httpx.AsyncClient) -> None:
    """A name as long as an index takes, of characters of four bytes, is kept whole and found by its beginning."""
    name = "\N{CJK UNIFIED IDEOGRAPH-20000}" * 3000
    made = await client.post("Patient", json=patient(name=[{"family": name}]))
    assert made.status_code == 201
    found = (await client.get("Patient", params={"family": name[:20]})).json()
    assert [one["resource"]["name"][0]["family"] for one in found["entry"]] == [name]
