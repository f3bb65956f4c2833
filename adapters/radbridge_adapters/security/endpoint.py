"""`/oauth2/token` and `/oauth2/jwks`, and the documents by which clients find them. SMART App Launch 2.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import structlog

from radbridge.config import Site
from radbridge.errors import RadBridgeError
from radbridge.scopes import narrow, parse_scopes
from radbridge.wire import Desk, Receive, Scope, Send
from radbridge_adapters.security.assertion import ALGORITHMS, AssertionFault, verify
from radbridge_adapters.security.guard import Guard
from radbridge_adapters.security.http import NO_STORE, BodyTooLarge, Gone, answer, read_body
from radbridge_adapters.security.jwks import KeySource, public_set
from radbridge_adapters.security.keys import read_private
from radbridge_adapters.security.places import Places, places_of
from radbridge_adapters.security.replay import spend
from radbridge_adapters.security.token import LIFE

log = structlog.get_logger(__name__)

MAX_BYTES = 32768
MAX_FIELDS = 32
"""Of the form that asks for a token."""
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SERVICES = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_PARAMETERS = ("grant_type", "client_assertion_type", "client_assertion")


class TokenRefused(RadBridgeError):
    """A request for a token gets none (RFC 6749 5.2)."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code = code
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    assertion: str
    scopes: Sequence[str]
    """None: all that the client may have."""


class TokenApp:
    """The ASGI application at `/oauth2`."""

    def __init__(self, site: Site, desk: Desk, guard: Guard) -> None:
        self._site = site
        self._store = desk.store
        self._guard = guard
        clients = site.fhir.clients
        self._limits = {client.id: parse_scopes(client.scopes) for client in clients}
        self._keys = KeySource(
            {client.id: client.jwks for client in clients if client.jwks is not None},
            {client.id: client.jwks_uri for client in clients if client.jwks_uri is not None},
            {client.id: client for client in clients},
        )
        files = (*(d.key_file for d in site.fhir.destinations), *(h.key_file for h in site.fhircast.hubs))
        if guard.is_open:
            log.warning("open: nobody has to log in", address=site.http.listen, hint="name fhir.clients to change that")
        own = [read_private(file) for file in files if file is not None]
        self._published = public_set([key.document for key in own])
        self.pings = self._keys.pings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but the two addresses is not here."""
        if scope["type"] != "http":
            return
        match scope["path"], scope["method"]:
            case "/oauth2/token", "POST":
                await self._token(scope, receive, send)
            case "/oauth2/jwks", "GET" | "HEAD":
                await answer(send, 200, self._published, {"cache-control": "max-age=300"})
            case "/oauth2/token" | "/oauth2/jwks", _:
                await answer(send, 405, {"error": "invalid_request"})
            case _:
                await answer(send, 404, {"error": "invalid_request"})

    async def _token(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            asked = _read(await read_body(receive, MAX_BYTES))
            document = await self._grant(scope, asked)
        except BodyTooLarge:
            await answer(send, 413, {"error": "invalid_request"}, NO_STORE)
        except Gone:
            return
        except TokenRefused as error:
            await answer(send, error.status, {"error": error.code, "error_description": str(error)}, NO_STORE)
        else:
            await answer(send, 200, document, NO_STORE)

    async def _grant(self, scope: Scope, asked: _Asked) -> dict[str, Any]:
        client = await self._client_of(scope, asked.assertion)
        limits = self._limits[client]
        granted = [found.text for found in narrow(asked.scopes, limits)] if asked.scopes else [s.text for s in limits]
        if not granted:
            raise TokenRefused("invalid_scope", "none of these scopes can be granted to this client")
        mint = await self._guard.mint(scope)
        return {
            "access_token": mint.issue(client, granted),
            "token_type": "bearer",
            "expires_in": int(LIFE.total_seconds()),
            "scope": " ".join(granted),
        }

    async def _client_of(self, scope: Scope, raw: str) -> str:
        """Whose assertion it is. Every fault looks alike from outside; our log knows which it was."""
        try:
            audiences = (places_of(self._site, scope).token,)
            assertion = await verify(raw, audiences=audiences, find_keys=self._keys.find)
            if not await self._store.write_first(spend, assertion):
                raise AssertionFault("replayed", "the assertion was used before")
        except AssertionFault as fault:
            log.warning("a client assertion was refused", reason=fault.reason)
            raise TokenRefused("invalid_client", "the client assertion does not hold", 401) from None
        return assertion.issuer


def _read(raw: bytes) -> _Asked:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise TokenRefused("invalid_request", "the body is no form") from None
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise TokenRefused("invalid_request", "a parameter stands twice")
    form = dict(pairs)
    if form.get("grant_type", "client_credentials") != "client_credentials":
        raise TokenRefused("unsupported_grant_type", "only client_credentials")
    if missing := [name for name in _PARAMETERS if not form.get(name)]:
        raise TokenRefused("invalid_request", f"missing: {', '.join(missing)}")
    if form["client_assertion_type"] != ASSERTION_TYPE:
        raise TokenRefused("invalid_request", f"client_assertion_type has to be {ASSERTION_TYPE}")
    return _Asked(assertion=form["client_assertion"], scopes=form.get("scope", "").split())


def smart_configuration(places: Places, scopes: Sequence[str]) -> Mapping[str, Any]:
    """The document at `/fhir/.well-known/smart-configuration`."""
    return {
        "token_endpoint": places.token,
        "jwks_uri": places.keys,
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": list(scopes),
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }


def capability_security(places: Places) -> Mapping[str, Any]:
    """`CapabilityStatement.rest.security`, with the extension of older clients, which read nothing else."""
    uris = [{"url": "token", "valueUri": places.token}, {"url": "authorize", "valueUri": places.token}]
    return {
        "extension": [{"url": _OAUTH_URIS, "extension": uris}],
        "cors": False,
        "service": [{"coding": [{"system": _SERVICES, "code": "SMART-on-FHIR"}]}],
        "description": "SMART Backend Services: a bearer token got with a signed client assertion (RS384, ES384).",
    }
