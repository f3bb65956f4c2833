"""`/api/v1`: what operators do by it, at a gateway that works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from radbridge.access import Role
from radbridge.journal import accounts, audit
from radbridge.registry import LoraRegistry
from radbridge_adapters.hl7v2.framing import encode
from tests.support import dictation, mllp, people
from tests.support.live import LiveGateway, live, make_site
from tests.support.registry import OWNER, publish_new


@asynccontextmanager
async def asking(gateway: LiveGateway, *roles: Role, account: str = "ops") -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key of these roles."""
    headers = people.bearer(await people.key(gateway, *roles, account=account))
    async with httpx.AsyncClient(base_url=gateway.base, headers=headers, trust_env=False, timeout=60) as http:
        yield http


async def report(gateway: LiveGateway, raw: bytes) -> None:
    """A report comes in over MLLP and is acknowledged."""
    listener = gateway.listeners["hl7v2"]
    async with mllp.connect(listener) as peer:
        await peer.send(encode(raw))
        assert (await peer.answer())[0] == "AA"


async def test_a_destination_is_stopped_and_let_go_on(tmp_path: Path) -> None:
    """Paused, nothing goes there and the draft waits; resumed, it goes. The trail names who did both."""
    async with dictation.listening() as peer:
        place = {"name": "dictation", "address": f"127.0.0.1:{peer.port}"}
        site = make_site(tmp_path, hl7v2={"listen": "127.0.0.1:0", "destinations": [place]})
        async with live(site) as gateway, asking(gateway, Role.OPERATOR) as http:
            paused = await http.post("/api/v1/destinations/dictation/pause", json={"reason": "upgrade"})
            assert paused.status_code == 204
            await report(gateway, mllp.REPORT)
            await gateway.until(lambda: gateway.journal.read_now(_waiting))
            [shown] = (await http.get("/api/v1/destinations")).json()
            assert (shown["state"], shown["reason"], shown["actor"], shown["waiting"]) == (
                "paused",
                "upgrade",
                "key:ops",
                1,
            )
            assert peer.messages == []
            assert (await http.post("/api/v1/destinations/dictation/resume", json={})).status_code == 204
            await peer.until(1)
            assert people.trail(gateway).count('"actor":"key:ops"') == 2
            assert (await http.post("/api/v1/destinations/nowhere/pause", json={})).status_code == 404


def _waiting(conn: Any) -> bool:
    return bool(conn.exec_driver_sql("SELECT count(*) FROM delivery WHERE state = 'pending'").scalar_one())


async def test_a_dead_letter_is_seen_and_given_up(tmp_path: Path) -> None:
    """A message that was refused is listed without its bytes; dropped, it is listed no more."""
    async with live(make_site(tmp_path)) as gateway, asking(gateway, Role.OPERATOR) as http:
        async with mllp.connect(gateway.listeners["hl7v2"]) as peer:
            await peer.send(encode(mllp.REPORT.replace(b"ORU^R01", b"ZZZ^Z99")))
            assert (await peer.answer())[0] in ("AE", "AR")
        [letter] = (await http.get("/api/v1/dead")).json()
        assert "raw" not in letter
        given_up = await http.post(f"/api/v1/dead/{letter['id']}/drop", json={"reason": "test message"})
        assert given_up.status_code == 200
        assert (await http.get("/api/v1/dead")).json() == []
        assert (await http.post(f"/api/v1/dead/{letter['id']}/retry", json={})).status_code == 409
        assert '"dropped"' in people.trail(gateway)


async def test_accounts_and_keys(tmp_path: Path) -> None:
    """An administrator makes an account and a key, sees neither's secret again, and ends both."""
    async with live(make_site(tmp_path, access={"required": True})) as gateway:
        async with asking(gateway, Role.ADMIN, account="root") as http:
            new = {"name": "bob", "roles": ["viewer"], "password": people.PASSWORD}
            assert (await http.post("/api/v1/accounts", json=new)).status_code == 201
            assert (await http.post("/api/v1/accounts", json=new)).status_code == 409
            assert (
                await http.post("/api/v1/accounts", json=new | {"name": "x", "password": "short"})
            ).status_code == 422
            made = (await http.post("/api/v1/apikeys", json={"account": "bob", "roles": ["viewer"]})).json()["key"]
            own = people.bearer(made)
            assert (await http.get("/api/v1/me", headers=own)).json()["name"] == "bob"
            shown = (await http.get("/api/v1/accounts")).text + (await http.get("/api/v1/apikeys")).text
            assert made.rpartition("_")[2] not in shown
            assert people.PASSWORD not in shown
            assert (await http.patch("/api/v1/accounts/bob", json={"disabled": True})).status_code == 204
            assert (await http.get("/api/v1/me", headers=own)).status_code == 401
            id = made.split("_")[1]
            assert (await http.delete(f"/api/v1/apikeys/{id}")).status_code == 204
            assert (await http.delete("/api/v1/apikeys/none")).status_code == 404
        assert people.PASSWORD not in people.trail(gateway)


async def test_the_api_refuses_what_the_command_refuses(tmp_path: Path) -> None:
    """Names of ours, accounts and keys that would open nothing, roles that a provider gives; closing works."""
    roles = frozenset({Role.VIEWER})
    carol = accounts.Stranger(issuer="https://login.example", subject="u-1", name="carol", roles=roles)
    async with live(make_site(tmp_path)) as gateway, asking(gateway, Role.ADMIN) as http:
        await gateway.journal.write(accounts.welcome, carol)
        new = {"name": "bob", "roles": ["viewer"], "password": people.PASSWORD}
        tried: list[tuple[str, str, dict[str, Any], int]] = [
            ("POST", "/accounts", new | {"name": "radbridge"}, 422),
            ("POST", "/accounts", new | {"roles": []}, 409),
            ("PATCH", "/accounts/carol", {"roles": ["admin"]}, 409),
            ("PATCH", "/accounts/carol", {}, 409),
            ("PATCH", "/accounts/nobody", {"disabled": True}, 404),
            ("PATCH", "/accounts/carol", {"disabled": True}, 204),
            ("POST", "/apikeys", {"account": "pacs"}, 409),
            ("POST", "/apikeys", {"account": "pacs", "scopes": ["everything"]}, 409),
            ("POST", "/apikeys", {"account": "the pacs", "roles": ["viewer"]}, 422),
            ("POST", "/apikeys", {"account": "carol", "roles": ["viewer"]}, 409),
        ]
        for method, path, body, status in tried:
            answer = await http.request(method, f"/api/v1{path}", json=body)
            assert answer.status_code == status, (path, body, answer.text)
        [shown] = (await http.get("/api/v1/accounts")).json()
        assert (shown["roles"], shown["disabled"]) == (["viewer"], True)


async def test_a_trainer_changes_what_drafts(tmp_path: Path) -> None:
    """Versions are listed, promoted and rolled back; who did is in their history and in the audit trail.

    No other role may.
    """
    loras = LoraRegistry(tmp_path / "registry")
    first, second = (publish_new(loras, tmp_path / "made", weights) for weights in (b"one", b"two"))
    site = make_site(tmp_path, model={"url": "http://127.0.0.1:9", "loras": str(loras.root)})
    async with live(site) as gateway, asking(gateway, Role.TRAINER, account="ml") as http:
        place = f"/api/v1/loras/{OWNER}"
        for version in ("v1", "v2"):
            done = await http.post(f"{place}/promote", json={"version": version, "reason": "gate passed"})
            assert done.status_code == 200, done.text
        [shown] = (await http.get("/api/v1/loras")).json()
        assert (shown["champion"], shown["previous"]) == (second.folder, first.folder)
        assert loras.champion(OWNER) == second
        assert (await http.post(f"{place}/rollback", json={})).json()["champion"] == first.folder
        events = (await http.get(place)).json()["events"]
        assert [(one["action"], one["version"], one["actor"]) for one in events] == [
            ("promoted", first.name, "key:ml"),
            ("promoted", second.name, "key:ml"),
            ("rolled_back", first.name, "key:ml"),
        ]
        told = people.trail(gateway)
        assert (told.count('"what":"configuration"'), told.count('"wanted":'), told.count('"via":"api"')) == (6, 3, 6)
        for path, body, status in (
            (f"{place}/promote", {"version": "v9"}, 409),
            (f"{place}/promote", {}, 409),
            (f"{place}/promote", {"version": "../v1"}, 422),
            (f"{place}/melt", {}, 422),
        ):
            assert (await http.post(path, json=body)).status_code == status
        assert (await http.get("/api/v1/loras/rad/nobody")).status_code == 404
        assert (await http.get("/api/v1/dead")).status_code == 403
        others = people.bearer(await people.key(gateway, Role.VIEWER, Role.OPERATOR, Role.ADMIN, account="root"))
        assert (await http.get("/api/v1/loras", headers=others)).status_code == 403
        assert (await http.post(f"{place}/retire", json={}, headers=others)).status_code == 403


async def test_a_site_without_loras(tmp_path: Path) -> None:
    """Where no registry is named, a trainer is told what to set."""
    async with live(make_site(tmp_path)) as gateway, asking(gateway, Role.TRAINER) as http:
        answer = await http.get("/api/v1/loras")
        assert (answer.status_code, "model.loras" in answer.text) == (404, True)


async def test_the_trails_head_and_the_gateways(tmp_path: Path) -> None:
    """The head is the chain's, as `radbridge audit head` tells it; the gateway itself is listed."""
    async with live(make_site(tmp_path)) as gateway, asking(gateway, Role.ADMIN) as http:
        told = (await http.get("/api/v1/audit/head")).json()
        head = gateway.journal.read_now(audit.head)
        assert told["seq"] <= head.seq
        assert (await http.get("/api/v1/gateways")).status_code == 200
