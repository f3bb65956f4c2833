"""Public keys of clients: given in the configuration, or fetched from where the configuration says, never elsewhere.

An assertion's own `jku` is ignored: whoever writes it chooses the keys that it is checked with.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

import httpx
import jwt
import structlog

from radbridge.config.tls import Trust
from radbridge.errors import DeliveryFailed
from radbridge.wire import Ping
from radbridge_adapters.security.fetching import fetch
from radbridge_adapters.security.tls import client_context

log = structlog.get_logger(__name__)

FRESH_S = 300.0
"""A key that was taken out of a set is trusted so much longer, at most."""
PAUSE_S = 10.0
"""Between two fetches from one place, however many unknown keys are named."""
_MAX_KEYS = 32


@dataclass(slots=True)
class _Fetched:
    keys: Sequence[jwt.PyJWK] = ()
    at: float = float("-inf")
    tried_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeySource:
    """Keys by who signs: `find(issuer, kid)`.

    `sets` are JWK sets, `uris` places to fetch them from, `trusts` whom to take for those; all by issuer. Raises
    ConfigError for a file that can't be used.
    """

    def __init__(
        self,
        sets: Mapping[str, Mapping[str, Any]],
        uris: Mapping[str, str],
        trusts: Mapping[str, Trust] | None = None,
    ) -> None:
        self._given = {issuer: read_keys(document) for issuer, document in sets.items()}
        self._uris = dict(uris)
        trusted = trusts or {}
        self._contexts = {
            issuer: client_context(f"keys of {issuer!r}", trusted.get(issuer, Trust())) for issuer in uris
        }
        self._fetched = {issuer: _Fetched() for issuer in uris}

    @property
    def pings(self) -> list[Ping]:
        """What `radbridge check` tries: every place, for keys."""
        return [Ping(name=f"keys of {issuer}", ask=partial(self._ping, issuer)) for issuer in self._uris]

    async def _ping(self, issuer: str) -> None:
        uri = self._uris[issuer]
        try:
            keys = read_keys(await _fetch(uri, self._contexts[issuer]))
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            told = f"can't be fetched from {uri}: {str(error) or type(error).__name__}"
            raise DeliveryFailed(f"keys of {issuer}", told, sent=False) from None
        if not keys:
            raise DeliveryFailed(f"keys of {issuer}", f"{uri} gives none that could sign", sent=False)

    async def find(self, issuer: str, kid: str) -> Sequence[jwt.PyJWK]:
        """The keys that this issuer has under this id, all where none is named; none for an issuer that isn't known."""
        if issuer in self._given:
            return _named(self._given[issuer], kid)
        kept = self._fetched.get(issuer)
        if kept is None:
            return ()
        async with kept.lock:
            now = monotonic()
            wanted = now - kept.at > FRESH_S or not _named(kept.keys, kid)
            if wanted and now - kept.tried_at > PAUSE_S:
                kept.tried_at = now
                await self._refresh(kept, issuer)
        return _named(kept.keys, kid)

    async def _refresh(self, kept: _Fetched, issuer: str) -> None:
        """Fetch; where that fails, the keys of the last time go on for a while."""
        try:
            kept.keys, kept.at = read_keys(await _fetch(self._uris[issuer], self._contexts[issuer])), monotonic()
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            log.warning("a client's keys can't be fetched", reason=error, hint="check its jwks_uri")
            if monotonic() - kept.at > 2 * FRESH_S:
                kept.keys = ()


def read_keys(document: Any) -> tuple[jwt.PyJWK, ...]:
    """The keys of a set that can verify a signature here; the others are skipped. Raises ValueError for no set."""
    found: list[jwt.PyJWK] = []
    for key in _keys_of(document)[:_MAX_KEYS]:
        if isinstance(key, dict) and key.get("kty") in {"RSA", "EC", "OKP"} and key.get("use", "sig") == "sig":
            with suppress(jwt.PyJWTError, ValueError, TypeError):
                found.append(jwt.PyJWK(_public(key)))
    return tuple(found)


def _keys_of(document: Any) -> list[Any]:
    match document:
        case {"keys": list() as keys}:
            return keys
        case _:
            raise ValueError("no JWK set")


def _public(key: Mapping[str, Any]) -> dict[str, Any]:
    """Without the private parts, should somebody have published them."""
    return {
        name: value for name, value in key.items() if name in {"kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"}
    }


def public_set(keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The JWK set to publish for these keys, private ones among them or not."""
    return {"keys": [_public(key) for key in keys]}


async def _fetch(uri: str, context: ssl.SSLContext) -> Any:
    found = await fetch(uri, context)
    if not found.is_ok:
        raise ValueError("no JWK set")
    return found.document


def _named(keys: Sequence[jwt.PyJWK], kid: str) -> Sequence[jwt.PyJWK]:
    return [key for key in keys if key.key_id == kid] if kid else list(keys)
