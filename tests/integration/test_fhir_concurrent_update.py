"""Many clients on one resource."""

from __future__ import annotations

import asyncio

import httpx

from tests.support.fhir import patient
from tests.support.fhir_fixtures import client, gateway

__all__ = ["client", "gateway"]

WRITERS = 16


async def test_one_winner_a_version(client: httpx.AsyncClient) -> None:
    """Of sixteen updates of one version exactly one is stored, and the others are told so."""
    made = (await client.post("Patient", json=patient())).json()
    address = f"Patient/{made['id']}"
    for version in range(1, 6):

        async def write(writer: int, version: int = version) -> int:
            changed = made | {"name": [{"family": f"Doe{version}-{writer}"}]}
            answer = await client.put(address, json=changed, headers={"if-match": f'W/"{version}"'})
            return answer.status_code

        told = sorted(await asyncio.gather(*(write(n) for n in range(WRITERS))))
        assert told == [200] + [412] * (WRITERS - 1)
    history = (await client.get(f"{address}/_history")).json()
    assert [e["resource"]["meta"]["versionId"] for e in history["entry"]] == ["6", "5", "4", "3", "2", "1"]


async def test_updates_without_a_version_all_hold(client: httpx.AsyncClient) -> None:
    """Without If-Match every update is a version of its own; none is lost, and no number comes twice."""
    made = (await client.post("Patient", json=patient())).json()

    async def write(writer: int) -> str:
        changed = made | {"name": [{"family": f"Doe{writer}"}]}
        answer = await client.put(f"Patient/{made['id']}", json=changed)
        assert answer.status_code == 200
        return str(answer.json()["meta"]["versionId"])

    versions = await asyncio.gather(*(write(n) for n in range(WRITERS)))
    assert sorted(map(int, versions)) == list(range(2, WRITERS + 2))


async def test_conditional_creates_make_one(client: httpx.AsyncClient) -> None:
    """Of sixteen creates under one condition one makes the resource, and all answer it."""

    async def write() -> tuple[int, str]:
        answer = await client.post("Patient", json=patient(), headers={"if-none-exist": "identifier=900001"})
        return answer.status_code, answer.json()["id"]

    told = await asyncio.gather(*(write() for _ in range(WRITERS)))
    assert sorted(status for status, _ in told) == [200] * (WRITERS - 1) + [201]
    assert len({id for _, id in told}) == 1
