"""SMART Backend Services as a client: an access token for a signed assertion, kept until shortly before it ends."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import httpx

from radbridge.config import FhirDestination
from radbridge.errors import DeliveryFailed
from radbridge_adapters.rest.client import FORM, FhirClient, Reply, ask, make_http
from radbridge_adapters.security.assertion import sign
from radbridge_adapters.security.endpoint import ASSERTION_TYPE
from radbridge_adapters.security.keys import PrivateKey, read_private

EARLY_S = 30.0
"""A token is renewed so long before it ends."""
_DEFAULT_LIFE_S = 300.0
_CODES = frozenset("invalid_client invalid_grant invalid_request invalid_scope unauthorized_client".split())


class BackendTokens:
    """Tokens of one server for one client."""

    def __init__(
        self,
        name: str,
        http: httpx.AsyncClient,
        *,
        base: str,
        client_id: str,
        key: PrivateKey,
        scope: str,
        url: str = "",
    ) -> None:
        self._name = name
        self._http = http
        self._base = base
        self._client_id = client_id
        self._key = key
        self._scope = scope
        self._url = url
        self._token = ""
        self._ends_at = 0.0
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """One that holds now. Raises DeliveryFailed: what is wrong here an operator can put right meanwhile."""
        async with self._asking:
            if not self._token or monotonic() > self._ends_at - EARLY_S:
                await self._renew()
            return self._token

    def forget(self, token: str) -> None:
        """The server refused this one; a newer one stays."""
        if token == self._token:
            self._token = ""

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _renew(self) -> None:
        url = self._url or await self._discover()
        form = {
            "grant_type": "client_credentials",
            "scope": self._scope,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": sign(self._key.jwk, client_id=self._client_id, audience=url),
        }
        headers = {"content-type": FORM, "accept": "application/json"}
        content = urlencode(form).encode()
        reply = await ask(self._http, self._name, "POST", url, content=content, headers=headers)
        token = reply.document.get("access_token")
        if not reply.ok or not isinstance(token, str) or not token.isprintable():
            raise DeliveryFailed(self._name, f"gave no access token: HTTP {reply.status}{_code(reply)}", sent=False)
        self._url, self._token, self._ends_at = url, token, monotonic() + _life_s(reply.document)

    async def _discover(self) -> str:
        """The token endpoint, by the server's SMART discovery document."""
        reply = await ask(self._http, self._name, "GET", f"{self._base}/.well-known/smart-configuration")
        url = reply.document.get("token_endpoint")
        allowed = ("https://",) if self._base.startswith("https://") else ("https://", "http://")
        if not reply.ok or not isinstance(url, str) or not url.startswith(allowed):
            raise DeliveryFailed(self._name, "names no token endpoint; set token_url", sent=False)
        return url


def make_client(destination: FhirDestination) -> FhirClient:
    """The client of a configured server, with tokens where it has a `client_id`. Raises ConfigError."""
    where, timeout_s = (destination.name, destination.url), destination.timeout_s
    tokens = None
    if destination.key_file is not None:
        tokens = BackendTokens(
            destination.name,
            make_http(*where, timeout_s=timeout_s, trust=destination),
            base=destination.url.rstrip("/"),
            client_id=destination.client_id,
            key=read_private(destination.key_file),
            scope=destination.scope,
            url=destination.token_url or "",
        )
    return FhirClient(*where, timeout_s=timeout_s, tokens=tokens, trust=destination)


def _code(reply: Reply) -> str:
    """Its error code, if it is one of RFC 6749's: any other text may hold anything."""
    code = reply.document.get("error")
    return f" {code}" if code in _CODES else ""


def _life_s(document: dict[str, Any]) -> float:
    seconds = document.get("expires_in")
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else _DEFAULT_LIFE_S
