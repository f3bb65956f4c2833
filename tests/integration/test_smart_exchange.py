"""Tokens over real sockets: how they are got, what refuses them, and what a restart doesn't forget."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from radbridge.config import FhirDestination, Site
from radbridge.errors import DeliveryFailed
from radbridge.wire import Desk, Mount, Receive, Scope, Send, Wire
from radbridge_adapters.resources.outcome import Issues, outcome_of
from radbridge_adapters.rest import make_client
from radbridge_adapters.security import Guard, TokenApp, smart_configuration
from radbridge_adapters.security.endpoint import MAX_FIELDS
from radbridge_adapters.security.http import answer, headers_of
from radbridge_adapters.security.jwks import public_set
from radbridge_adapters.security.keys import Algorithm, make_private
from radbridge_adapters.security.places import places_of
from tests.support import people
from tests.support.gateway import free_port
from tests.support.live import LiveGateway, live, make_site
from tests.support.smart import Signer, es384, rs384

PACS, EHR = es384("pacs"), rs384("ehr")
SCOPES = ["system/DiagnosticReport.cruds", "system/Patient.r"]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is asked may be slow to answer."""
    monkeypatch.setattr("radbridge_adapters.security.fetching.TIMEOUT_S", 60.0)
    monkeypatch.setattr("radbridge_adapters.rest.client._CONNECT_S", 60.0)


def fhir_clients(*signers: Signer) -> dict[str, Any]:
    return {"clients": [{"id": s.client, "jwks": s.jwks, "scopes": SCOPES} for s in signers]}


def guarded(site: Site, desk: Desk) -> Wire:
    """A wire that has nothing but a guarded Patient and the token endpoint."""
    guard = Guard(site, desk)

    async def fhir(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("smart-configuration"):
            await answer(send, 200, smart_configuration(places_of(site, scope), SCOPES))
            return
        try:
            client = await guard.authorize(scope, "Patient", "r")
        except Issues as fault:
            await answer(send, fault.status, outcome_of(fault.issues), headers_of(fault.status, fault.retry_after_s))
        else:
            await answer(send, 200, {"resourceType": "Patient", "id": "1", "by": client.id})

    mounts = (Mount(path="/fhir", app=fhir), Mount(path="/oauth2", app=TokenApp(site, desk, guard)))
    return Wire(name="guarded", translate=lambda _: (), mounts=mounts)


@asynccontextmanager
async def talking(folder: Path, *signers: Signer, **http: Any) -> AsyncIterator[tuple[LiveGateway, httpx.AsyncClient]]:
    async with (
        live(make_site(folder, fhir=fhir_clients(*signers), http=http), guarded) as web,
        httpx.AsyncClient(base_url=web.base, trust_env=False, timeout=60) as client,
    ):
        yield web, client


def ehr(web: LiveGateway, key: Path, **more: str) -> FhirDestination:
    """A gateway as a destination of ours."""
    return FhirDestination.model_validate(
        {"name": "ehr", "url": f"{web.base}/fhir", "key_file": key, "timeout_s": 60.0} | more
    )


@pytest.mark.parametrize("signer", [PACS, EHR], ids=["ES384", "RS384"])
async def test_a_client_gets_a_token_and_reads(tmp_path: Path, signer: Signer) -> None:
    """A signed assertion buys a token with the scopes that both sides allow, and the token opens what they name."""
    async with talking(tmp_path, PACS, EHR) as (web, client):
        said = await client.post("/oauth2/token", data=signer.form(f"{web.base}/oauth2/token"))
        assert said.status_code == 200
        assert said.headers["cache-control"] == "no-store"
        assert (said.json()["token_type"], said.json()["expires_in"]) == ("bearer", 300)
        assert said.json()["scope"] == "system/DiagnosticReport.rs system/Patient.r"
        read = await client.get("/fhir/Patient/1", headers={"authorization": f"Bearer {said.json()['access_token']}"})
        assert read.json()["by"] == signer.client


async def test_tokens_of_a_client_share_its_rate(tmp_path: Path) -> None:
    """It has one bucket, however many tokens it got."""
    async with talking(tmp_path, PACS, rate_per_s=0.01, burst=2) as (web, client):
        statuses = []
        for _ in range(3):
            said = await client.post("/oauth2/token", data=PACS.form(f"{web.base}/oauth2/token"))
            read = await client.get("/fhir/Patient/1", headers=people.bearer(said.json()["access_token"]))
            statuses.append(read.status_code)
        assert statuses == [200, 200, 429]
        assert int(read.headers["retry-after"]) > 1


async def test_no_token_and_a_foreign_one_are_turned_away(tmp_path: Path) -> None:
    """401 with a challenge for no token, a made-up one, and one of another site; 403 where scopes are too small."""
    (tmp_path / "other").mkdir()
    async with talking(tmp_path, PACS) as (web, client):
        async with talking(tmp_path / "other", PACS) as (other, there):
            form = PACS.form(f"{other.base}/oauth2/token")
            foreign = (await there.post("/oauth2/token", data=form)).json()["access_token"]
        for header in ({}, {"authorization": "Bearer x.y.z"}, {"authorization": f"Bearer {foreign}"}):
            said = await client.get("/fhir/Patient/1", headers=header)
            assert said.status_code == 401
            assert said.headers["www-authenticate"] == "Bearer"
            assert said.json()["issue"][0]["code"] == "login"
        form = PACS.form(f"{web.base}/oauth2/token", scope="system/DiagnosticReport.rs")
        small = (await client.post("/oauth2/token", data=form)).json()["access_token"]
        said = await client.get("/fhir/Patient/1", headers={"authorization": f"Bearer {small}"})
        assert (said.status_code, said.json()["issue"][0]["code"]) == (403, "forbidden")


async def test_an_assertion_counts_once_over_restarts(tmp_path: Path) -> None:
    """The same assertion again is refused, also by the process after this one; our log says why, the answer doesn't."""
    port = {"listen": f"127.0.0.1:{free_port()}"}
    async with talking(tmp_path, PACS, **port) as (web, client):
        form = PACS.form(f"{web.base}/oauth2/token")
        assert (await client.post("/oauth2/token", data=form)).status_code == 200
        again = await client.post("/oauth2/token", data=form)
        assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    async with talking(tmp_path, PACS, **port) as (_, client):
        again = await client.post("/oauth2/token", data=form)
        assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
        assert "replay" not in again.text


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_assertion_type": "x"}, 400, "invalid_request"),
        ({"client_assertion": ""}, 400, "invalid_request"),
        ({"client_assertion": "a.b.c"}, 401, "invalid_client"),
        ({"scope": "system/Observation.rs openid"}, 400, "invalid_scope"),
        ({"scope": ["system/Patient.r", "system/*.rs"]}, 400, "invalid_request"),
    ],
)
async def test_a_request_that_is_wrong_is_told_so(
    tmp_path: Path, change: dict[str, Any], status: int, error: str
) -> None:
    """By OAuth's own error codes."""
    async with talking(tmp_path, PACS) as (web, client):
        said = await client.post("/oauth2/token", data=PACS.form(f"{web.base}/oauth2/token") | change)
        assert (said.status_code, said.json()["error"]) == (status, error)


async def test_without_a_scope_a_client_gets_all_that_it_may_have(tmp_path: Path) -> None:
    """As clients do that know none (RFC 6749 3.3)."""
    async with talking(tmp_path, PACS) as (web, client):
        said = await client.post("/oauth2/token", data=PACS.form(f"{web.base}/oauth2/token", scope=""))
        assert said.json()["scope"] == " ".join(SCOPES)


async def test_a_host_header_chooses_no_audience(tmp_path: Path) -> None:
    """An assertion for another server's URL stays one for another server, whatever Host it comes with."""
    async with talking(tmp_path, PACS) as (_, client):
        form = PACS.form("http://elsewhere/oauth2/token")
        said = await client.post("/oauth2/token", data=form, headers={"host": "elsewhere"})
        assert said.status_code == 401


async def test_a_large_request_for_a_token_is_cut_off(tmp_path: Path) -> None:
    """413, and the rest isn't read."""
    async with talking(tmp_path, PACS) as (_, client):
        assert (await client.post("/oauth2/token", data={"client_assertion": "x" * 100_000})).status_code == 413


async def test_a_request_for_a_token_has_so_many_fields(tmp_path: Path) -> None:
    """One field more than is read, and nothing of it is."""
    async with talking(tmp_path, PACS) as (web, client):
        right = PACS.form(f"{web.base}/oauth2/token")
        most = right | {f"x{n}": "1" for n in range(MAX_FIELDS - len(right))}
        refused = await client.post("/oauth2/token", data=most | {"y": "1"})
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        assert (await client.post("/oauth2/token", data=most)).status_code == 200


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_we_get_tokens_as_a_client_too(tmp_path: Path, algorithm: Algorithm) -> None:
    """Our client finds the token endpoint by discovery, signs, reads, and gets a new token when one is refused."""
    key = tmp_path / "key.json"
    key.write_text(json.dumps(document := make_private(algorithm)))
    clients = [{"id": "radbridge", "jwks": public_set([document]), "scopes": SCOPES}]
    (tmp_path / "restored").mkdir()
    http = {"listen": f"127.0.0.1:{free_port()}"}
    async with live(make_site(tmp_path, fhir={"clients": clients}, http=http), guarded) as web:
        client = make_client(ehr(web, key, client_id="radbridge", scope="system/Patient.r"))
        assert (await client.read("Patient/1")).document["by"] == "radbridge"
    async with live(make_site(tmp_path / "restored", fhir={"clients": clients}, http=http), guarded):
        assert (await client.read("Patient/1")).ok  # from a journal that never issued the first token
        await client.close()


async def test_a_client_that_nobody_registered_is_told_by_name(tmp_path: Path) -> None:
    """No token: the delivery waits and is tried again, and the message holds the server's error code."""
    key = tmp_path / "key.json"
    key.write_text(json.dumps(make_private(Algorithm.ES384)))
    async with talking(tmp_path, PACS) as (web, _):
        client = make_client(ehr(web, key, client_id="radbridge"))
        try:
            with pytest.raises(DeliveryFailed, match="HTTP 401 invalid_client"):
                await client.read("Patient/1")
        finally:
            await client.close()


async def test_keys_are_fetched_from_the_registered_place(tmp_path: Path) -> None:
    """A client with a jwks_uri gets a token by the keys published there."""
    (tmp_path / "keys").mkdir()
    key = tmp_path / "key.json"
    key.write_text(json.dumps(make_private(Algorithm.ES384)))
    publisher = {
        "destinations": [{"name": "x", "url": "http://127.0.0.1:1/f", "client_id": "us", "key_file": str(key)}]
    }
    async with live(make_site(tmp_path / "keys", fhir=publisher), guarded) as there:
        clients = [{"id": "us", "jwks_uri": f"{there.base}/oauth2/jwks", "scopes": SCOPES}]
        async with live(make_site(tmp_path, fhir={"clients": clients}), guarded) as web:
            client = make_client(ehr(web, key, client_id="us", scope="system/*.rs"))
            assert (await client.read("Patient/1")).document["by"] == "us"
            await client.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:1"}, 200),
        ({"host": "evil.example"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost:3000"}, 200),
    ],
)
async def test_an_open_server_answers_no_web_page(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    """Open on loopback means open to this machine's programs: what a page elsewhere makes a browser send is refused."""
    async with talking(tmp_path) as (_, client):
        assert (await client.get("/fhir/Patient/1", headers=headers)).status_code == status


async def test_nothing_secret_is_logged(tmp_path: Path) -> None:
    """Our log says why an assertion was refused; neither it nor a token ever stands there."""
    async with talking(tmp_path, PACS) as (web, client):
        good, bad = PACS.form(f"{web.base}/oauth2/token"), es384("pacs").form(f"{web.base}/oauth2/token")
        with capture_logs() as logs:
            token = (await client.post("/oauth2/token", data=good)).json()["access_token"]
            assert (await client.post("/oauth2/token", data=bad)).status_code == 401
    assert [line["reason"] for line in logs if "reason" in line] == ["signature"]
    for secret in (good["client_assertion"], bad["client_assertion"], token):
        assert secret not in str(logs)
