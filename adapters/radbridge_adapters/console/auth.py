"""`/auth`: logging in by password or at the hospital's OpenID provider, and out."""

from __future__ import annotations

from html import escape
from math import ceil
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from radbridge.config import Site
from radbridge.errors import LoginRefused
from radbridge.journal import accounts, sessions
from radbridge.journal.accounts import Account, Attempt
from radbridge.meter import WireMeter
from radbridge.wire import Store
from radbridge_adapters.resources.outcome import refuse
from radbridge_adapters.security import cookies
from radbridge_adapters.security.guard import is_private, refuse_strangers
from radbridge_adapters.security.http import NO_STORE, BodyTooLarge, headers_of, read_body
from radbridge_adapters.security.login import Logins, TooOften
from radbridge_adapters.security.oidc import LIFE, OpenId

MAX_BYTES = 8192
MAX_FIELDS = 8
"""Of the login page's form."""
HOME = "/api/v1/me"
"""Where a browser goes after its login."""
_STATE = "state"
_PAGE_HEADERS = {
    **NO_STORE,
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>RadBridge: log in</title>
<style>body{{font:16px sans-serif;max-width:20em;margin:4em auto}}input,button{{width:100%;margin:.3em 0}}</style>
<h1>RadBridge</h1>{told}<form method="post" action="/auth/login"><label>Name
<input name="name" autocomplete="username" required></label><label>Password
<input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button></form>{more}</html>"""
_ELSEWHERE = '<p><a href="/auth/oidc">Log in at the hospital</a></p>'


class Auth:
    """The routes, and what they need."""

    def __init__(self, site: Site, store: Store, meter: WireMeter) -> None:
        """Raises ConfigError for a file of `access.oidc` that can't be used."""
        self._site = site
        self._store = store
        self._logins = Logins(store, meter)
        systems = (
            *(one.id for one in site.fhir.clients),
            *(one.name for one in site.access.certificates),
            *site.cdshooks.client_issuers,
        )
        self._openid = OpenId(site.access.oidc, store, systems) if site.access.oidc else None
        self.router = APIRouter(prefix="/auth", include_in_schema=False)
        self.router.add_api_route("/login", self.show, methods=["GET"])
        self.router.add_api_route("/login", self.log_in, methods=["POST"])
        self.router.add_api_route("/oidc", self.depart, methods=["GET"])
        self.router.add_api_route("/callback", self.arrive, methods=["GET"])
        self.router.add_api_route("/logout", self.log_out, methods=["POST"])

    async def show(self) -> HTMLResponse:
        """The login form."""
        return self._page()

    async def log_in(self, request: Request) -> Response:
        """By name and password, as a form or in JSON: a session's cookie, and for JSON the word against forgery."""
        self._require_tls()
        peer = _peer(request)
        if is_private(self._site):
            refuse_strangers(self._site, request.scope)
        is_json = request.headers.get("content-type", "").startswith("application/json")
        if not is_json:
            self._refuse_other_pages(request)
        given = await _read(request, is_json=is_json)
        try:
            account = await self._logins.by_password(given.get("name", ""), given.get("password", ""), peer=peer)
        except TooOften as error:
            return _come_again(error)
        except LoginRefused:
            return self._refusal(is_json=is_json)
        return await self._let_in(request, account, "password", is_json=is_json)

    async def depart(self, request: Request) -> Response:
        """To the hospital's provider."""
        self._require_tls()
        openid = self._provider()
        try:
            self._logins.depart(_peer(request))
            departure = await openid.depart()
        except TooOften as error:
            return _come_again(error)
        except LoginRefused:
            return self._page("The hospital's login can't be reached.", status=503)
        cookie = cookies.write(self._site, departure.cookie, purpose=_STATE, max_age_s=int(LIFE.total_seconds()))
        return RedirectResponse(departure.url, status_code=303, headers={"set-cookie": cookie, **NO_STORE})

    async def arrive(self, request: Request) -> Response:
        """Back from the provider."""
        self._require_tls()
        openid = self._provider()
        kept, name = cookies.read(self._site, request.scope, purpose=_STATE), ""
        try:
            self._logins.depart(_peer(request))
            stranger = await openid.arrive(dict(request.query_params), kept)
            account = await self._store.write_first(accounts.welcome, stranger)
            name = account.name
            if account.disabled:
                raise LoginRefused("disabled")
        except TooOften as error:
            return _come_again(error)
        except LoginRefused as error:
            await self._logins.tell(Attempt(name=name, reason=error.reason, via="oidc", peer=_peer(request)))
            return self._refusal(is_json=False)
        await self._logins.tell(Attempt(name=account.name, via="oidc", peer=_peer(request)))
        response = await self._let_in(request, account, "oidc", is_json=False)
        response.headers.append("set-cookie", cookies.write(self._site, "", purpose=_STATE, max_age_s=0))
        return response

    async def log_out(self, request: Request) -> Response:
        """The session is over. Without one, nothing is."""
        token = cookies.read(self._site, request.scope)
        idle_s = self._site.access.idle_s
        session = await self._store.read(lambda conn: sessions.check(conn, token, idle_s=idle_s)) if token else None
        if session is not None:
            if not cookies.is_ours(self._site, request.scope, session.csrf):
                raise refuse("forbidden", f"logging out needs {cookies.CSRF} and our origin", status=403)
            await self._store.write_first(sessions.end, session.digest)
        gone = cookies.write(self._site, "", max_age_s=0)
        return Response(status_code=204, headers={"set-cookie": gone, **NO_STORE})

    async def _let_in(self, request: Request, account: Account, via: str, *, is_json: bool) -> Response:
        """A new session; the one that this browser had is over."""
        lasts_s = self._site.access.session_s
        if former := cookies.read(self._site, request.scope):
            await self._store.write_first(sessions.end, sessions.digest(former))
        begun = await self._store.write_first(sessions.begin, sessions.Begin(account=account, via=via, lasts_s=lasts_s))
        cookie = cookies.write(self._site, begun.token, max_age_s=int(lasts_s))
        headers = {"set-cookie": cookie, **NO_STORE}
        if is_json:
            return JSONResponse({"name": account.name, "csrf": begun.csrf}, headers=headers)
        return RedirectResponse(HOME, status_code=303, headers=headers)

    def _provider(self) -> OpenId:
        """The hospital's. Raises Issues (404) where the site names none."""
        if self._openid is None:
            raise refuse("not-found", "the site has no access.oidc", status=404)
        return self._openid

    def _refusal(self, *, is_json: bool) -> Response:
        """The same for every reason."""
        if is_json:
            return JSONResponse({"error": "login refused"}, status_code=401, headers=NO_STORE)
        return self._page("Login refused.", status=401)

    def _page(self, told: str = "", *, status: int = 200) -> HTMLResponse:
        page = _PAGE.format(told=f"<p>{escape(told)}</p>" if told else "", more=_ELSEWHERE if self._openid else "")
        return HTMLResponse(page, status_code=status, headers=_PAGE_HEADERS)

    def _require_tls(self) -> None:
        """No password and no cookie goes over a network in clear."""
        if not self._site.http.is_loopback and not cookies.is_secure(self._site):
            raise refuse(
                "forbidden",
                "logins need HTTPS: set http.tls_cert, or fhir.base_url where a proxy speaks it",
                status=403,
            )

    def _refuse_other_pages(self, request: Request) -> None:
        """A form of another page must not log anybody in here, under a name that its author knows."""
        if not cookies.is_from_here(self._site, request.scope):
            raise refuse("forbidden", "the form was sent by another page", status=403)


def _come_again(error: TooOften) -> JSONResponse:
    headers = {**headers_of(429, ceil(error.wait_s)), **NO_STORE}
    return JSONResponse({"error": "too many logins"}, status_code=429, headers=headers)


async def _read(request: Request, *, is_json: bool) -> dict[str, str]:
    try:
        raw = await read_body(request.receive, MAX_BYTES)
        found: Any = orjson.loads(raw) if is_json else dict(parse_qsl(raw.decode("utf-8"), max_num_fields=MAX_FIELDS))
    except BodyTooLarge:
        raise refuse("too-costly", "the body is too large", status=413) from None
    except ValueError:
        raise refuse("structure", "the body can't be read", status=400) from None
    if not isinstance(found, dict):
        raise refuse("structure", "an object with name and password is needed", status=400)
    return {str(name): value for name, value in found.items() if isinstance(value, str)}


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""
