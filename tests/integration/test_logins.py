"""Logging in, staying in, and being kept out: passwords, sessions, forgery, locks, API keys, certificates."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from radbridge.access import Role
from radbridge.errors import LoginRefused
from radbridge.journal import accounts, api_keys, passwords
from radbridge.journal.schema import api_keys as key_rows
from radbridge.journal.schema import login_sessions
from radbridge_adapters import cdshooks, fhir, fhircast
from radbridge_adapters.security import login
from radbridge_adapters.security.pins import read_pin
from radbridge_adapters.security.rate import Buckets
from tests.support import people
from tests.support.certificates import Authority
from tests.support.live import LiveGateway, live, make_site
from tests.support.store import in_a_file

LOGIN = {"name": "alice", "password": people.PASSWORD}


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrypt as cheap for unknown names as for the accounts of these tests."""
    monkeypatch.setattr(passwords, "COST", people.COST)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bucket fills again while a test runs, however long the machine takes."""
    monkeypatch.setattr(login, "Buckets", partial(Buckets, clock=lambda: 0.0))


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[LiveGateway]:
    """A gateway at which everybody has to log in, and Alice can."""
    site = make_site(tmp_path, access={"required": True})
    async with live(site, fhir.wire) as gateway:
        await people.add(gateway, "alice", Role.ADMIN)
        yield gateway


@pytest.fixture
async def http(gateway: LiveGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as client:
        yield client


async def enter(http: httpx.AsyncClient, **more: str) -> dict[str, str]:
    """Log in; the header against forgery."""
    answer = await http.post("/auth/login", json=LOGIN | more)
    assert answer.status_code == 200
    return {"x-csrf-token": answer.json()["csrf"]}


async def me(http: httpx.AsyncClient) -> int:
    return (await http.get("/api/v1/me")).status_code


async def test_a_session_begins_and_ends(gateway: LiveGateway, http: httpx.AsyncClient) -> None:
    """The right password opens a session for FHIR and the API; logging out closes it, in the journal too."""
    assert await me(http) == 401
    word = await enter(http)
    assert (await http.get("/api/v1/me")).json()["name"] == "alice"
    assert (await http.get("/fhir/DiagnosticReport")).status_code == 200
    kept = dict(http.cookies)
    assert (await http.post("/auth/logout", headers=word)).status_code == 204
    assert await me(http) == 401
    async with httpx.AsyncClient(base_url=gateway.base, cookies=kept, trust_env=False, timeout=60) as thief:
        assert await me(thief) == 401


@in_a_file
async def test_the_cookie_is_out_of_reach(gateway: LiveGateway, http: httpx.AsyncClient) -> None:
    """HttpOnly, SameSite=Lax, and its value is nowhere in the journal: only its digest is."""
    answer = await http.post("/auth/login", json=LOGIN)
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    token = next(iter(http.cookies.values()))
    files = [path.read_bytes() for path in Path(gateway.site.store.url.removeprefix("sqlite:///")).parent.iterdir()]
    assert not any(token.encode() in raw or people.PASSWORD.encode() in raw for raw in files)


async def test_a_browser_logs_in_by_the_form(http: httpx.AsyncClient) -> None:
    """The form is a page without scripts; posted by itself it lets in, posted by another page it doesn't.

    The page behind it tells the word that logging out needs, and is kept by no cache.
    """
    page = await http.get("/auth/login")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<form" in page.text
    forged = await http.post("/auth/login", data=LOGIN, headers={"origin": "https://evil.example"})
    assert forged.status_code == 403
    answer = await http.post("/auth/login", data=LOGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/api/v1/me")
    shown = await http.get("/api/v1/me")
    assert shown.headers["cache-control"] == "no-store"
    word = {"x-csrf-token": shown.json()["csrf"]}
    assert (await http.post("/auth/logout", headers=word)).status_code == 204
    assert await me(http) == 401


async def test_another_page_can_do_nothing_with_the_cookie(http: httpx.AsyncClient) -> None:
    """Whatever changes something needs the word that only our page knows; a foreign origin is refused even so."""
    word = await enter(http)
    made: dict[str, Any] = {"account": "pacs", "roles": ["viewer"]}
    foreign = {"origin": "https://evil.example"}
    odd = {"x-csrf-token": "gu\u00e9ss".encode("latin-1")}
    tried: list[dict[str, Any]] = [{}, {"x-csrf-token": "guess"}, odd, word | foreign]
    for headers in tried:
        assert (await http.post("/api/v1/apikeys", json=made, headers=headers)).status_code == 403
    assert (await http.get("/api/v1/me", headers=foreign)).status_code == 403
    assert (await http.post("/api/v1/apikeys", json=made, headers=word)).status_code == 201


async def test_a_page_that_has_its_name_point_here_guesses_nothing(tmp_path: Path) -> None:
    """Where looking needs no login, only this machine's programs and our own page may try passwords (DNS rebinding)."""
    async with (
        live(make_site(tmp_path)) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
    ):
        await people.add(gateway, "alice", Role.ADMIN)
        page = {"host": "evil.example", "origin": "http://evil.example"}
        assert (await http.post("/auth/login", json=LOGIN, headers=page)).status_code == 403
        await enter(http)


@pytest.mark.parametrize("column", ["seen_at", "expires_at"])
async def test_a_session_is_over_in_time(gateway: LiveGateway, http: httpx.AsyncClient, column: str) -> None:
    """After a quarter of an hour of nothing, and at most half a day after the login."""
    await enter(http)
    [row] = gateway.journal.read_now(lambda conn: conn.execute(select(login_sessions)).all())
    assert timedelta(hours=12) - timedelta(minutes=10) < row.expires_at - datetime.now(UTC) <= timedelta(hours=12)
    past = datetime.now(UTC) - timedelta(seconds=901)
    await gateway.journal.write(lambda conn, _: [conn.execute(update(login_sessions).values({column: past}))], None)
    assert await me(http) == 401


async def test_what_an_account_loses_it_loses_at_once(gateway: LiveGateway, http: httpx.AsyncClient) -> None:
    """Fewer roles hold from the next request on, for keys too; closed, it has no session and its keys open nothing."""
    await enter(http)
    own = people.bearer(await people.key(gateway, Role.ADMIN, account="alice"))
    change = accounts.Change(name="alice", actor="test", via="test")
    await gateway.journal.write(accounts.alter, replace(change, roles=frozenset({Role.VIEWER})))
    assert (await http.get("/api/v1/accounts")).status_code == 403
    assert (await http.get("/api/v1/accounts", headers=own)).status_code == 403
    await gateway.journal.write(accounts.alter, replace(change, disabled=True))
    assert await me(http) == 401
    http.cookies.clear()
    assert (await http.get("/api/v1/me", headers=own)).status_code == 401
    assert (await http.post("/auth/login", json=LOGIN)).status_code == 401


async def test_guessing_locks_the_account(
    gateway: LiveGateway, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten wrong passwords in a row lock it for a quarter of an hour, against the right one too; all look alike."""
    monkeypatch.setattr(Buckets, "take", lambda _, __: 0.0)
    tries = [LOGIN | {"password": f"wrong password {number}"} for number in range(10)]
    tries += [LOGIN, {"name": "nobody", "password": people.PASSWORD}]
    answers = [await http.post("/auth/login", json=one) for one in tries]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, '{"error":"login refused"}')}
    found = gateway.journal.read_now(lambda conn: accounts.find(conn, "alice"))
    assert found is not None
    assert found.locked_until is not None
    assert timedelta(minutes=5) < found.locked_until - datetime.now(UTC) <= timedelta(minutes=15)


async def test_logins_are_in_the_trail(gateway: LiveGateway, http: httpx.AsyncClient) -> None:
    """Each login and each refusal is noted, with a fixed word why, and never with what was typed as a name."""
    await enter(http)
    await http.post("/auth/login", json={"name": "DOE^JANE", "password": "x"})
    told = people.trail(gateway)
    assert '"login"' in told
    assert '"login_failed"' in told
    assert '"unknown"' in told
    assert "DOE" not in told


async def test_wrong_passwords_of_one_address_are_few(gateway: LiveGateway, http: httpx.AsyncClient) -> None:
    """Ten a minute for a name, whether there is one or not; others, and who knows the password, come in all the same.

    The metrics don't tell which names there are.
    """
    wrong = {"name": "bob", "password": "wrong password"}
    statuses = [(await http.post("/auth/login", json=wrong)).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    again = await http.post("/auth/login", json=wrong | {"password": people.PASSWORD})
    assert (again.status_code, 1 <= int(again.headers["retry-after"]) <= 6) == (429, True)
    assert [(await http.post("/auth/login", json=LOGIN)).status_code for _ in range(11)] == [200] * 11
    outcomes = re.findall(rb'radbridge_logins_total{outcome="(.*)"}', gateway.metrics_page())
    assert set(outcomes) == {b"ok", b"refused"}


async def test_many_names_from_one_machine(gateway: LiveGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine's wrong passwords are counted over all names; this one's own may be a proxy, which is everybody.

    A name costs the same memory however long it is, and many tries at once are counted before any is answered.
    """
    monkeypatch.setattr(login, "OF_AN_ADDRESS", 3)
    logins = login.Logins(gateway.journal, gateway.meter)
    for peer, expected in (("192.0.2.1", login.TooOften), ("127.0.0.1", LoginRefused)):
        tries = [logins.by_password(f"{number:04}" * 2000, "wrong", peer=peer) for number in range(4)]
        answers = await asyncio.gather(*tries, return_exceptions=True)
        assert [type(one) for one in answers] == [LoginRefused] * 3 + [expected]
    assert {len(key) for key in logins._names._left} == {64}  # noqa: SLF001 - what is kept of them


async def test_addresses_that_a_machine_makes_up(gateway: LiveGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong passwords and ways to the provider from a unique local or link-local /64 are counted together."""
    monkeypatch.setattr(login, "OF_AN_ADDRESS", 3)
    monkeypatch.setattr(login, "DEPARTURES", 3)
    monkeypatch.setattr(login, "DEPARTURES_PER_S", 0.01)
    logins = login.Logins(gateway.journal, gateway.meter)
    for network in ("fd00:1::", "fe80::"):
        tries = [logins.by_password(f"{n}", "wrong", peer=f"{network}{n:x}") for n in range(1, 5)]
        answers = await asyncio.gather(*tries, return_exceptions=True)
        assert [type(one) for one in answers] == [LoginRefused] * 3 + [login.TooOften]
        for n in range(1, 4):
            logins.depart(f"{network}{n:x}")
        with pytest.raises(login.TooOften):
            logins.depart(f"{network}4")


async def test_the_hospitals_login_is_counted_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going to the provider takes no turn from passwords, and many go at once; both ways are bounded."""
    monkeypatch.setattr(login, "DEPARTURES", 12)
    monkeypatch.setattr(login, "DEPARTURES_PER_S", 0.01)
    oidc = {
        "issuer": "http://127.0.0.1:9",
        "client_id": "radbridge",
        "redirect_url": "http://127.0.0.1/auth/callback",
        "roles": {"staff": ["viewer"]},
    }
    site = make_site(tmp_path, access={"oidc": oidc})
    async with live(site) as gateway, httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http:
        await people.add(gateway, "alice", Role.ADMIN)
        assert [(await http.get("/auth/oidc")).status_code for _ in range(11)] == [503] * 11
        assert (await http.get("/auth/callback")).status_code == 401
        for path in ("/auth/oidc", "/auth/callback"):
            over = await http.get(path)
            assert (over.status_code, bool(over.headers["retry-after"])) == (429, True)
        await enter(http)


async def test_a_login_ends_the_one_before(gateway: LiveGateway, http: httpx.AsyncClient) -> None:
    """Of the same browser: a cookie that was got hold of is worth nothing after it."""
    await enter(http)
    kept = dict(http.cookies)
    await enter(http)
    assert await me(http) == 200
    async with httpx.AsyncClient(base_url=gateway.base, cookies=kept, trust_env=False, timeout=60) as thief:
        assert await me(thief) == 401


def test_an_unknown_name_takes_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrypt runs once with the same cost, whether there is such an account or not, and whether it is the password."""
    asked: list[int] = []
    derive = passwords._derive  # noqa: SLF001 - what takes the time

    def counted(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
        asked.append(cost)
        return derive(password, salt, cost, block, lanes)

    sealed = passwords.seal(people.PASSWORD)
    monkeypatch.setattr(passwords, "_derive", counted)
    for given, kept, expected in ((people.PASSWORD, sealed, True), ("wrong", sealed, False), ("wrong", b"", False)):
        asked.clear()
        assert passwords.fits(given, kept) is expected
        assert asked == [people.COST]


@pytest.mark.parametrize("change", ["expires_at", "revoked_at"])
async def test_a_key_that_is_over_opens_nothing(gateway: LiveGateway, http: httpx.AsyncClient, change: str) -> None:
    """After its day, or after it was revoked; and a made-up one never did."""
    key = await people.key(gateway, Role.VIEWER)
    assert (await http.get("/api/v1/me", headers=people.bearer(key))).status_code == 200
    for wrong in (key[:-1] + ("A" if key[-1] != "A" else "B"), "rbk_0123456789abcdef_" + "x" * 43):
        assert (await http.get("/api/v1/me", headers=people.bearer(wrong))).status_code == 401
    if change == "revoked_at":
        id = key.split("_")[1]
        await gateway.journal.write(api_keys.revoke, api_keys.Revocation(id=id, actor="test", via="test"))
    else:
        past = datetime.now(UTC) - timedelta(seconds=1)
        await gateway.journal.write(lambda conn, _: [conn.execute(update(key_rows).values(expires_at=past))], None)
    assert (await http.get("/api/v1/me", headers=people.bearer(key))).status_code == 401


async def test_no_password_goes_over_a_network_in_clear(tmp_path: Path) -> None:
    """Beyond loopback and without HTTPS nobody can log in."""
    site = make_site(tmp_path, http={"listen": "0.0.0.0:0"}, access={"required": True})
    async with live(site) as gateway:
        port = gateway.addresses["http"].rpartition(":")[2]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
            assert (await http.post("/auth/login", json=LOGIN)).status_code == 403


async def test_a_certificate_is_a_login(tmp_path: Path) -> None:
    """The pin of a caller's certificate says who it is; another one of the same authority is nobody."""
    authority = Authority(tmp_path)
    server, known, other = (authority.issue(name) for name in ("server", "pacs", "other"))
    tls = {"tls_cert": str(server), "tls_key": str(server), "client_ca": str(authority.ca)}
    named = {"name": "pacs", "pin": read_pin(known), "roles": ["operator"]}
    site = make_site(tmp_path, http=tls, access={"required": True, "certificates": [named]})
    async with live(site, fhir.wire, fhircast.wire, cdshooks.wire) as gateway:
        base = gateway.base.replace("http", "https", 1)
        for shown, expected in ((known, 200), (other, 401)):
            context = ssl.create_default_context(cafile=authority.ca)
            context.load_cert_chain(shown)
            async with httpx.AsyncClient(base_url=base, verify=context, trust_env=False, timeout=60) as http:
                answer = await http.get("/api/v1/me")
                assert answer.status_code == expected
                assert (await http.get("/fhir/DiagnosticReport")).status_code == expected
                if expected == 200:
                    assert (answer.json()["name"], answer.json()["via"]) == ("pacs", "certificate")
