"""A FHIR server's client: one request, one reply, every limit known. It never goes through a proxy or a redirect."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

import httpx
import orjson

from radbridge.config.tls import Trust
from radbridge.errors import ConfigError, DeliveryFailed, DeliveryRefused
from radbridge_adapters.security.tls import client_context

FHIR_JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"
MAX_ANSWER_BYTES = 1 << 20
_CONNECT_S = 5.0
_CONNECTIONS = 16
_SYSTEM = Trust()
"""The system's authorities, and nothing of ourselves."""
_AGAIN = frozenset({401, 408, 409, 412, 425, 429})
"""Besides 5xx: what may be otherwise at the next try. 401: a key or a token that the server learns of in time."""


class Tokens(Protocol):
    """Where access tokens come from."""

    async def token(self) -> str:
        """One that holds now. Raises DeliveryFailed, DeliveryRefused."""
        ...

    def forget(self, token: str) -> None:
        """The server refused this one: the next is to be new."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a server answered, whatever its status."""

    status: int
    document: dict[str, Any] = field(repr=False)
    """Empty where the answer held no JSON object."""
    etag: str = ""
    location: str = field(default="", repr=False)
    retry_after_s: float | None = None

    @property
    def ok(self) -> bool:
        """A status of 2xx."""
        return 200 <= self.status < 300


class FhirClient:
    """Speaks with the FHIR server at `url`, which operators know as `name`.

    `trust` says whom to take for it, and what to show of ourselves. Raises ConfigError for a URL or a file that can't
    be used.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        timeout_s: float = 10.0,
        tokens: Tokens | None = None,
        trust: Trust = _SYSTEM,
    ) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self._tokens = tokens
        self._timeout_s = timeout_s
        self._http = make_http(name, url, timeout_s=timeout_s, trust=trust)

    async def read(self, reference: str) -> Reply:
        """Get `DiagnosticReport/1`. A URL is taken only where it is below this server's; else DeliveryRefused."""
        path = reference.removeprefix(self.url + "/")
        if "://" in path or path.startswith("/") or ".." in path.split("/"):
            raise DeliveryRefused(self.name, "a reference leads to another server; it was not followed")
        return await self.send("GET", path)

    async def search(self, resource_type: str, parameters: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """The matches on the first page. By POST, for URLs end in logs and these name patients.

        Raises DeliveryFailed, DeliveryRefused.
        """
        reply = self.demand(await self.send("POST", f"{resource_type}/_search", form=parameters))
        entries = reply.document.get("entry", [])
        found = [e["resource"] for e in entries if e.get("search", {}).get("mode", "match") == "match"]
        return [resource for resource in found if resource.get("resourceType") == resource_type]

    async def send(
        self,
        method: str,
        path: str = "",
        *,
        document: Mapping[str, Any] | bytes | None = None,
        form: Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request; with a token, one more after a 401. The reply may have any status.

        Raises DeliveryFailed when no answer came (`sent` False: nobody was reached), or one that is too large.
        """
        content, kind = _body(document, form)
        wanted = {"accept": FHIR_JSON} | ({"content-type": kind} if kind else {}) | dict(headers or {})
        url = f"{self.url}/{path}" if path else self.url
        if self._tokens is None:
            return await self._ask(method, url, content, wanted)
        token = await self._tokens.token()
        reply = await self._ask(method, url, content, wanted | {"authorization": f"Bearer {token}"})
        if reply.status != httpx.codes.UNAUTHORIZED:
            return reply
        self._tokens.forget(token)
        token = await self._tokens.token()
        return await self._ask(method, url, content, wanted | {"authorization": f"Bearer {token}"})

    def demand(self, reply: Reply) -> Reply:
        """A good reply, as it is.

        Raises DeliveryFailed for what may be otherwise next time (401, 408, 409, 412, 429, 5xx), DeliveryRefused else.
        """
        if reply.ok:
            return reply
        message = f"HTTP {reply.status}"
        if reply.status in _AGAIN or reply.status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise DeliveryFailed(self.name, message, retry_after_s=reply.retry_after_s)
        raise DeliveryRefused(self.name, message)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()
        if self._tokens is not None:
            await self._tokens.close()

    async def _ask(self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]) -> Reply:
        return await ask(self._http, self.name, method, url, content=content, headers=headers)


def make_http(name: str, url: str, *, timeout_s: float, trust: Trust = _SYSTEM) -> httpx.AsyncClient:
    """The HTTP client that every outbound request of this package uses. Raises ConfigError."""
    with suppress(httpx.InvalidURL):
        parsed = httpx.URL(url)
        if parsed.scheme in {"http", "https"} and parsed.host and not parsed.query:
            return httpx.AsyncClient(
                trust_env=False,
                verify=client_context(name, trust),
                limits=httpx.Limits(max_connections=_CONNECTIONS),
                timeout=httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s)),
            )
    raise ConfigError([f"{name}: the URL must be http://host/path or https://host/path, without a query"])


async def ask(
    http: httpx.AsyncClient,
    name: str,
    method: str,
    url: str,
    *,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    at_most: int = MAX_ANSWER_BYTES,
) -> Reply:
    """Send, read at most so many bytes. Raises DeliveryFailed."""
    try:
        async with (
            asyncio.timeout(http.timeout.read),  # httpx's own starts anew with every byte
            http.stream(method, url, content=content, headers=headers) as answer,
        ):
            raw = b""
            async for piece in answer.aiter_bytes():
                raw += piece
                if len(raw) > at_most:
                    raise DeliveryFailed(name, f"the answer is larger than {at_most} bytes")
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise DeliveryFailed(name, f"can't be reached ({type(error).__name__})", sent=False) from None
    except (httpx.HTTPError, TimeoutError) as error:
        raise DeliveryFailed(name, f"gave no answer ({type(error).__name__})", answered=False) from None
    return Reply(
        status=answer.status_code,
        document=_read(raw),
        etag=answer.headers.get("etag", ""),
        location=answer.headers.get("location", ""),
        retry_after_s=_retry_after(answer.headers.get("retry-after", "")),
    )


def _body(
    document: Mapping[str, Any] | bytes | None, form: Sequence[tuple[str, str]] | None
) -> tuple[bytes | None, str]:
    if form is not None:
        return urlencode(form).encode(), FORM
    if document is None:
        return None, ""
    return document if isinstance(document, bytes) else orjson.dumps(document), FHIR_JSON


def _read(raw: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _retry_after(value: str) -> float | None:
    """Seconds; the form with a date is rare and left to the usual backoff."""
    return float(value) if value.isascii() and value.isdigit() else None
