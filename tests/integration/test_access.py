"""Every route of the HTTP port, asked by every role and by nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from radbridge.access import ROLES, Permission, Role
from radbridge_adapters import cdshooks, fhir, fhircast
from radbridge_adapters.console.access import Asking
from radbridge_adapters.console.server import make_app
from radbridge_adapters.fhir.route import Route
from radbridge_adapters.fhir.types import TYPES
from tests.support import people
from tests.support.live import LiveGateway, live, make_site
from tests.support.smart import es384

NOBODY = ""
PUBLIC = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/auth/login",
    "/auth/oidc",
    "/auth/callback",
    "/auth/logout",
}
"""Routes of the console that show no patient and change nothing but a login."""
LOOK = {Role.VIEWER, Role.OPERATOR, Role.ADMIN}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[LiveGateway]:
    """A gateway at which everybody has to log in."""
    site = make_site(tmp_path, access={"required": True})
    async with live(site, fhir.wire, fhircast.wire, cdshooks.wire) as gateway:
        yield gateway


@pytest.fixture
async def http(gateway: LiveGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as client:
        yield client


async def keys(gateway: LiveGateway) -> dict[str, str]:
    """A key of each role, and none."""
    return {NOBODY: ""} | {role: await people.key(gateway, role) for role in Role}


async def ask(http: httpx.AsyncClient, method: str, path: str, token: str) -> int:
    return (await http.request(method, path, headers=people.bearer(token))).status_code


def permission_of(route: APIRoute) -> Permission | None:
    waiting = list(route.dependant.dependencies)
    while waiting:
        one = waiting.pop()
        if isinstance(one.call, Asking):
            return one.call.permission
        waiting += one.dependencies
    return None


async def test_every_route_of_the_console_asks_for_its_permission(
    gateway: LiveGateway, http: httpx.AsyncClient
) -> None:
    """A route names a permission or is known to be public; who lacks it gets 403, nobody 401, all others an answer."""
    routes = [r for r in walk(make_app(gateway.site, gateway).routes) if r.path not in PUBLIC]
    assert len(routes) >= 9
    unguarded = [route.path for route in routes if permission_of(route) is None]
    assert unguarded == []
    tokens = await keys(gateway)
    for route in routes:
        permission = permission_of(route)
        assert permission is not None
        for method in sorted(route.methods or ()):
            for role, token in tokens.items():
                status = await ask(http, method, route.path.replace("{", "").replace("}", ""), token)
                if role == NOBODY:
                    assert status == 401, (method, route.path)
                else:
                    assert (status == 403) == (permission not in ROLES[Role(role)]), (method, route.path, role)
                    assert status != 401


def walk(routes: object) -> Iterator[APIRoute]:
    """The routes of an application, also those of routers that are included in it."""
    for route in routes if isinstance(routes, list) else []:
        if isinstance(route, APIRoute):
            yield route
        else:
            inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
            yield from walk(list(inner or []))


async def test_every_route_of_the_fhir_server_asks_for_its_scope(gateway: LiveGateway, http: httpx.AsyncClient) -> None:
    """Who sees cases may read and search, admins the trail too; no role writes, keys with scopes do."""
    [app] = [mount.app for mount in gateway.mounts if mount.path == "/fhir"]
    routes: list[Route] = app._router.routes  # type: ignore[attr-defined]  # noqa: SLF001 - the table that is served
    tokens = await keys(gateway)
    writer = await people.key(gateway, scopes=("system/*.cruds",))
    for route in routes:
        path, method = f"/fhir/{fill(route)}", route.method
        if route.is_public:
            assert await ask(http, method, path, "") != 401, path
            continue
        assert await ask(http, method, path, "") == 401, path
        if not route.verb:
            continue  # each part of the body, or each thing of the asker's own, is asked for by itself
        for role, token in tokens.items():
            if role != NOBODY:
                sees = {Role.ADMIN} if path.startswith("/fhir/AuditEvent") else LOOK
                may = role in sees and route.verb in "rs"
                assert (await ask(http, method, path, token) == 403) != may, (method, path, role)
        assert await ask(http, method, path, writer) not in (401, 403), (method, path)


def fill(route: Route) -> str:
    """A path of the route."""
    kind = route.of_type or next((name for name, can in sorted(TYPES.items()) if route.needs in can), "")
    return route.path.replace("{type}", kind).replace("{id}", "x1").replace("{version}", "1")


async def test_the_other_wires_ask_too(gateway: LiveGateway, http: httpx.AsyncClient) -> None:
    """FHIRcast and CDS Hooks: nobody gets 401; who sees cases may read; trainers get 403; discovery is public."""
    tokens = await keys(gateway)
    for method, path in (("GET", "/fhircast/topic"), ("POST", "/cds-services/radbridge-report-draft")):
        for role, token in tokens.items():
            status = await ask(http, method, path, token)
            if status == 404:
                pytest.fail(f"{path} isn't there")
            expected = {NOBODY: 401, Role.TRAINER: 403}.get(role)
            assert status == expected if expected else status not in (401, 403), (path, role, status)
    for path in ("/cds-services", "/fhircast/.well-known/fhircast-configuration"):
        assert await ask(http, "GET", path, "") == 200


async def test_plain_loopback_use_needs_no_login(tmp_path: Path) -> None:
    """Without `[access]`, a gateway on loopback answers everybody on the machine; what changes accounts asks still."""
    async with (
        live(make_site(tmp_path), fhir.wire, fhircast.wire, cdshooks.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
    ):
        assert (await http.get("/fhir/DiagnosticReport")).status_code == 200
        assert (await http.get("/metrics")).status_code == 200
        assert (await http.get("/api/v1/me")).json()["roles"] == ["viewer"]
        assert (await http.get("/api/v1/accounts")).status_code == 403
        assert (await http.post("/api/v1/apikeys", json={"account": "x"})).status_code == 403
        for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
            assert (await http.get("/api/v1/me", headers=headers)).status_code == 403


OIDC = {
    "issuer": "https://login.example",
    "client_id": "radbridge",
    "redirect_url": "https://radbridge.example/auth/callback",
    "roles": {"staff": ["viewer"]},
}


@pytest.mark.parametrize(
    ("tables", "headers", "status"),
    [
        ({"fhir": {"base_url": "https://radbridge.example/fhir"}}, {}, 401),
        ({"access": {"oidc": OIDC}}, {}, 401),
        ({}, {"x-forwarded-for": "192.0.2.7"}, 403),
        ({}, {"forwarded": "for=192.0.2.7"}, 403),
        ({"fhir": {"base_url": "http://127.0.0.1:8080/fhir"}}, {}, 200),
    ],
)
async def test_a_proxy_on_the_same_machine_opens_nothing(
    tmp_path: Path, tables: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    """Behind a proxy every request comes from loopback: nobody is let in for that, neither by FHIR nor by the API."""
    wires = (fhir.wire, fhircast.wire, cdshooks.wire)
    async with (
        live(make_site(tmp_path, **tables), *wires) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, headers=headers, timeout=60) as http,
    ):
        assert [await ask(http, "GET", path, "") for path in ("/api/v1/me", "/fhir/Patient")] == [status] * 2
        hook = await http.post("/cds-services/radbridge-report-draft", json={})
        assert hook.status_code == status if status != 200 else hook.status_code not in (401, 403)


async def test_viewers_and_operators_see_no_audit_trail(gateway: LiveGateway, http: httpx.AsyncClient) -> None:
    """AuditEvents over FHIR need the permission that the API asks for too; a key's own scopes say what they say."""
    tokens = {role: await people.key(gateway, role) for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN)}
    seen = {role: await ask(http, "GET", "/fhir/AuditEvent", token) for role, token in tokens.items()}
    assert seen == {Role.VIEWER: 403, Role.OPERATOR: 403, Role.ADMIN: 200}
    assert await ask(http, "GET", "/fhir/AuditEvent", await people.key(gateway, scopes=("system/*.rs",))) == 200


async def test_a_loopback_with_clients_asks_at_the_api_too(tmp_path: Path) -> None:
    """Once FHIR wants tokens, the API shows nothing to who has none."""
    clients = [{"id": "pacs", "jwks": es384().jwks, "scopes": ["system/*.rs"]}]
    async with (
        live(make_site(tmp_path, fhir={"clients": clients}), fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
    ):
        assert [await ask(http, "GET", path, "") for path in ("/api/v1/dead", "/fhir/Patient")] == [401, 401]


async def test_metrics_with_a_token(tmp_path: Path) -> None:
    """With `http.metrics_token_file`, /metrics shows itself to who has the token alone."""
    (tmp_path / "token").write_text("s3cret\n")
    site = make_site(tmp_path, http={"listen": "127.0.0.1:0", "metrics_token_file": str(tmp_path / "token")})
    async with live(site) as gateway, httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http:
        assert [await ask(http, "GET", "/metrics", token) for token in ("", "other", "s3cret")] == [401, 401, 200]
        odd = await http.get("/metrics", headers={b"authorization": b"Bearer \xe9"})
        assert odd.status_code == 401
