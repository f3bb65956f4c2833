"""Logging in at an OpenID provider: one that nobody here wrote, and one whose answers are wrong in one point each."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from radbridge.access import Role
from radbridge.config import Oidc
from radbridge.errors import ConfigError, LoginRefused
from radbridge.journal import Journal, accounts
from radbridge.journal.accounts import Change, Stranger
from radbridge_adapters import fhir
from radbridge_adapters.security.oidc import OpenId
from tests.support import people
from tests.support.gateway import free_port
from tests.support.http_peer import Asked, answer
from tests.support.live import live, make_site
from tests.support.oidc_peer import CLIENT, Provider, providing

CALLBACK = "http://127.0.0.1/auth/callback"
ROLES = {"radiology-operators": ["operator"]}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider may be slow to answer."""
    monkeypatch.setattr("radbridge_adapters.security.fetching.TIMEOUT_S", 60.0)


def settings(issuer: str, **more: Any) -> Oidc:
    return Oidc.model_validate({"issuer": issuer, "client_id": CLIENT, "redirect_url": CALLBACK, "roles": ROLES} | more)


@asynccontextmanager
async def client_of(provider: Provider, folder: Path, **more: Any) -> AsyncIterator[OpenId]:
    journal = await Journal.open(f"sqlite:///{folder}/radbridge.db")
    try:
        yield OpenId(settings(provider.issuer, **more), journal)
    finally:
        await journal.close()


async def log_in(openid: OpenId, provider: Provider, **more: str) -> Stranger:
    departure = await openid.depart()
    return await openid.arrive(provider.visit(departure.url, **more), departure.cookie)


@asynccontextmanager
async def foreign_provider(*known: dict[str, Any]) -> AsyncIterator[str]:
    """`oidc-provider-mock` in a process of its own; its issuer."""
    port = free_port()
    claims = [option for one in known for option in ("--user-claims", json.dumps(one))]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *claims),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    issuer = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(60):
            while not await is_there(http, f"{issuer}/.well-known/openid-configuration"):
                await asyncio.sleep(0.05)
        yield issuer
    finally:
        process.terminate()
        await process.wait()


async def is_there(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).status_code == 200
    except httpx.TransportError:
        return False


async def test_a_whole_login_at_a_foreign_provider(tmp_path: Path) -> None:
    """Sent to the provider, back with a code, a session with the claim's roles; without a role or closed, none.

    Whoever is called as a system of the site's file gets another name: the trail would take one for the other.
    """
    operates = {"roles": ["radiology-operators"]}
    known = ({"sub": "alice"} | operates, {"sub": "ehr"} | operates, {"sub": "bob", "roles": ["cafeteria"]})
    async with foreign_provider(*known) as issuer:
        (tmp_path / "secret").write_text("made up\n")
        oidc = {
            "issuer": issuer,
            "client_id": CLIENT,
            "client_secret_file": str(tmp_path / "secret"),
            "redirect_url": CALLBACK,
            "roles": ROLES,
        }
        issuers = {"client_issuers": {"EHR": "https://ehr.example/jwks"}}
        site = make_site(tmp_path, access={"required": True, "oidc": oidc}, cdshooks=issuers)
        async with live(site, fhir.wire) as gateway:
            for sub, expected in (("ehr", 303), ("alice", 303), ("bob", 401), ("alice", 401)):
                async with httpx.AsyncClient(trust_env=False, timeout=60) as browser:
                    assert "/auth/oidc" in (await browser.get(f"{gateway.base}/auth/login")).text
                    away = await browser.get(f"{gateway.base}/auth/oidc")
                    back = await browser.post(away.headers["location"], data={"sub": sub})
                    query = httpx.URL(back.headers["location"]).query.decode()
                    answer = await browser.get(f"{gateway.base}/auth/callback?{query}")
                    assert answer.status_code == expected
                    me = await browser.get(f"{gateway.base}/api/v1/me")
                    assert (me.status_code == 200) == (expected == 303)
                    if expected == 303:
                        assert (me.json()["roles"], me.json()["via"]) == (["operator"], "oidc")
                        again = await browser.get(f"{gateway.base}/auth/callback?{query}")
                        assert again.status_code == 401
                        assert me.json()["name"].startswith(f"{sub}-" if sub == "ehr" else sub)
                        closed = Change(name=me.json()["name"], actor="test", via="test", disabled=True)
                        await gateway.journal.write(accounts.alter, closed)
            assert '"actor":"alice","detail":{"reason":"disabled"}' in people.trail(gateway)


async def test_a_right_answer_says_who_it_is(tmp_path: Path) -> None:
    """The name, the subject and the roles of the ID token; the code is redeemed with the verifier, once."""
    async with providing(Provider()) as provider, client_of(provider, tmp_path) as openid:
        stranger = await log_in(openid, provider, iss=provider.issuer)
        assert (stranger.name, stranger.subject, set(stranger.roles)) == ("alice", "u-1", {Role.OPERATOR})
        assert provider.forms[0]["client_id"] == CLIENT


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "Dr. Eva M\u00fcller [red]\x1b"}, "Dr.-Eva-M-ller-red"),
        ({"preferred_username": "\u4f60\u597d", "email": "eva@ris.example"}, "eva@ris.example"),
        ({"preferred_username": None, "email": None}, "u-1"),
        ({"preferred_username": "e" * 300}, "e" * 255),
    ],
)
async def test_a_name_from_elsewhere_is_made_one_of_ours(claims: dict[str, Any], name: str, tmp_path: Path) -> None:
    """What an account's name can't have becomes a dash; where nothing is left, the next claim names them."""
    async with providing(Provider(claims=claims)) as provider, client_of(provider, tmp_path) as openid:
        assert (await log_in(openid, provider)).name == name


OTHER = rsa.generate_private_key(65537, 2048)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nonce": ({"claims": {"nonce": "another"}}, "nonce"),
    "no nonce": ({"claims": {"nonce": None}}, "nonce"),
    "issuer": ({"claims": {"iss": "https://evil.example"}}, "issuer"),
    "audience": ({"claims": {"aud": "another"}}, "audience"),
    "several audiences": ({"claims": {"aud": [CLIENT, "another"]}}, "audience"),
    "azp": ({"claims": {"azp": "another"}}, "audience"),
    "expired": ({"claims": {"exp": 1}}, "token"),
    "endless": ({"claims": {"exp": float("inf")}}, "token"),
    "of no time": ({"claims": {"iat": -(10**17)}}, "token"),
    "old": ({"claims": {"iat": 1}}, "token"),
    "no subject": ({"claims": {"sub": None}}, "token"),
    "empty subject": ({"claims": {"sub": ""}}, "token"),
    "endless subject": ({"claims": {"sub": "u" * 256}}, "token"),
    "none": ({"algorithm": "none", "key": None}, "algorithm"),
    "HS256": ({"algorithm": "HS256", "key": "k" * 32}, "algorithm"),
    "not announced": ({"algorithm": "PS256"}, "algorithm"),
    "another key": ({"key": OTHER}, "signature"),
    "unknown key": ({"headers": {"kid": "k2"}}, "signature"),
    "no role": ({"claims": {"roles": ["cafeteria"]}}, "no_role"),
    "role of a wrong kind": ({"claims": {"roles": {"admin": True}}}, "no_role"),
    "another provider's document": ({"metadata": {"issuer": "https://evil.example"}}, "provider"),
    "plain endpoint": ({"metadata": {"token_endpoint": "ftp://evil.example"}}, "provider"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_answer_lets_nobody_in(case: str, tmp_path: Path) -> None:
    """Each point of the ID token and of the discovery document is checked by itself."""
    wrong, reason = WRONG[case]
    async with providing(Provider(**wrong)) as provider, client_of(provider, tmp_path) as openid:
        with pytest.raises(LoginRefused) as caught:
            await log_in(openid, provider)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [({"state": "another"}, "state"), ({"iss": "https://evil.example"}, "issuer"), ({"code": "stolen"}, "code")],
)
async def test_an_answer_that_was_tampered_with(more: dict[str, str], reason: str, tmp_path: Path) -> None:
    """Another state, another issuer (RFC 9207), or a code that isn't this login's: nobody is let in."""
    async with providing(Provider(used={"stolen"})) as provider, client_of(provider, tmp_path) as openid:
        with pytest.raises(LoginRefused) as caught:
            await log_in(openid, provider, **more)
    assert caught.value.reason == reason


async def test_an_issuer_that_is_promised_must_come(tmp_path: Path) -> None:
    """A provider that says it names itself in its answers (RFC 9207) is held to it."""
    provider = Provider(metadata={"authorization_response_iss_parameter_supported": True})
    async with providing(provider), client_of(provider, tmp_path) as openid:
        with pytest.raises(LoginRefused, match="issuer"):
            await log_in(openid, provider)
        assert (await log_in(openid, provider, iss=provider.issuer)).name == "alice"


async def test_an_answer_counts_once(tmp_path: Path) -> None:
    """The same answer a second time is refused before anybody is asked; so is a cookie that we never wrote."""
    async with providing(Provider()) as provider, client_of(provider, tmp_path) as openid:
        departure = await openid.depart()
        answer = provider.visit(departure.url)
        await openid.arrive(answer, departure.cookie)
        with pytest.raises(LoginRefused, match="state_used"):
            await openid.arrive(answer, departure.cookie)
        assert len(provider.forms) == 1
        forged = jwt.encode({"state": "s", "nonce": "n", "verifier": "v", "exp": 9999999999}, "k" * 32, "HS256")
        for cookie in ("", "rubbish", forged):
            with pytest.raises(LoginRefused, match="state"):
                await openid.arrive({"code": "c", "state": "s"}, cookie)


async def test_the_code_is_bound_to_the_browser(tmp_path: Path) -> None:
    """A code of somebody else's login is worth nothing here: the verifier doesn't fit its challenge (RFC 7636)."""
    async with providing(Provider()) as provider, client_of(provider, tmp_path) as openid:
        mine, theirs = await openid.depart(), await openid.depart()
        answer = provider.visit(mine.url)
        provider.visit(theirs.url)
        with pytest.raises(LoginRefused, match="code"):
            await openid.arrive(answer, mine.cookie)


async def test_a_provider_that_is_away(tmp_path: Path) -> None:
    """Nobody answers there: the login is refused, and says so."""
    provider = Provider(issuer="http://127.0.0.1:9")
    async with client_of(provider, tmp_path) as openid:
        with pytest.raises(LoginRefused, match="provider"):
            await openid.depart()


async def test_a_provider_that_is_away_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who want to log in meanwhile are told at once, and don't wait for it one after another."""
    monkeypatch.setattr("radbridge_adapters.security.oidc._AWAY_S", 600.0)
    asked = []

    async def broken(_: Asked, writer: asyncio.StreamWriter) -> None:
        asked.append(True)
        await answer(500, {})(_, writer)

    provider = Provider(replies={"/.well-known/openid-configuration": broken})
    async with providing(provider), client_of(provider, tmp_path) as openid:
        tries = await asyncio.gather(*(openid.depart() for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in tries] == [LoginRefused] * 5
    assert len(asked) == 1


async def test_a_secret_that_cannot_be_read_is_a_config_error(tmp_path: Path) -> None:
    """It is told at the start, by its path."""
    with pytest.raises(ConfigError, match="client_secret_file"):
        async with client_of(Provider(issuer="http://127.0.0.1:9"), tmp_path, client_secret_file=tmp_path / "none"):
            pass
