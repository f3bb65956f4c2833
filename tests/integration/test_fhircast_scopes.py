"""Our hub where clients have to log in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx

from radbridge.errors import ModelUnavailable
from radbridge_adapters import fhir, fhircast
from radbridge_adapters.security.jwks import public_set
from radbridge_adapters.security.keys import Algorithm, make_private
from tests.support.fhircast import event, observation, put, report_context, update_context
from tests.support.fhircast_client import connect, hear
from tests.support.live import live, make_site
from tests.support.smart import es384

PACS = es384("pacs")
SCOPES = ["fhircast/DiagnosticReport-*.read", "fhircast/diagnosticreport-open.write"]
SUBSCRIBE = {"hub.channel.type": "websocket", "hub.mode": "subscribe", "hub.topic": "topic"}


async def test_a_hub_with_clients_asks_for_tokens_and_holds_them_to_their_scopes(tmp_path: Path) -> None:
    """Without a token 401; with one, events may be read and published as far as its scopes go, in any case."""
    clients = [{"id": "pacs", "jwks": PACS.jwks, "scopes": SCOPES}]
    site = make_site(tmp_path, fhir={"clients": clients})
    async with live(site, fhir.wire, fhircast.wire) as gateway, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        url = f"{gateway.base}/fhircast"
        opened = event("DiagnosticReport-open", report_context("A1"))
        for answer in (
            await http.post(url, json=opened),
            await http.post(url, data=SUBSCRIBE | {"hub.events": "DiagnosticReport-open"}),
            await http.get(f"{url}/topic"),
        ):
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        form = PACS.form(f"{gateway.base}/oauth2/token", scope=" ".join(SCOPES))
        token = (await http.post(f"{gateway.base}/oauth2/token", data=form)).raise_for_status().json()["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        assert (await http.post(url, json=opened)).status_code == 202
        assert (await http.get(f"{url}/topic")).json()["context.type"] == "DiagnosticReport"
        version = (await http.get(f"{url}/topic")).json()["context.versionId"]
        update = event("DiagnosticReport-update", update_context(put(observation("x"))), version=version)
        assert (await http.post(url, json=update)).status_code == 403
        assert (await http.post(url, data=SUBSCRIBE | {"hub.events": "Patient-open"})).status_code == 403
        assert (await http.post(url, data=SUBSCRIBE | {"hub.events": "*"})).status_code == 403
        said = await http.post(url, data=SUBSCRIBE | {"hub.events": "DiagnosticReport-open"})
        async with connect(said.json()["hub.channel.endpoint"]) as socket:
            assert '"hub.mode":"subscribe"' in await hear(socket)
        assert (await http.get(f"{gateway.base}/fhircast/.well-known/fhircast-configuration")).status_code == 200


async def test_our_client_follows_a_hub_that_wants_tokens(tmp_path: Path) -> None:
    """One gateway follows the guarded hub of another with a token of its own, and its draft gets there."""
    ours = make_private(Algorithm.ES384)
    key = tmp_path / "key.json"
    key.write_text(json.dumps(ours))
    scopes = ["fhircast/*.read", "fhircast/DiagnosticReport-*.write"]
    clients = [
        {"id": "pacs", "jwks": PACS.jwks, "scopes": scopes},
        {"id": "us", "jwks": public_set([ours]), "scopes": scopes},
    ]
    (tmp_path / "hub").mkdir()
    hub_site = make_site(tmp_path / "hub", fhir={"clients": clients})
    async with (
        live(hub_site, fhir.wire, fhircast.wire) as there,
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        url, token_url = f"{there.base}/fhircast", f"{there.base}/oauth2/token"
        known = {"client_id": "us", "key_file": str(key), "token_url": token_url}
        site = make_site(tmp_path, fhircast={"hubs": [{"name": "hub", "url": url, "topic": "topic", **known}]})
        form = PACS.form(token_url, scope=" ".join(scopes))
        token = (await http.post(token_url, data=form)).raise_for_status().json()["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        there.model.error = ModelUnavailable()  # the hub's own gateway has no draft to give
        async with live(site, fhircast.wire) as here:
            (await http.post(url, json=event("DiagnosticReport-open", report_context("A1")))).raise_for_status()
            version = (await http.get(f"{url}/topic")).json()["context.versionId"]
            said = event("DiagnosticReport-update", update_context(put(observation("Clear lungs."))), version=version)
            (await http.post(url, json=said)).raise_for_status()
            await here.until(lambda: here.drafts("A1"))
            async with asyncio.timeout(60):
                while "radbridge-" not in (await http.get(f"{url}/topic")).text:
                    await asyncio.sleep(0.02)
