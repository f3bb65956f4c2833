"""People log in at the hospital's OpenID provider: authorization code flow with PKCE (OpenID Connect Core 1.0, 3.1).

What guards it: `state` ties the answer to the browser that asked, PKCE (RFC 7636) the code to it, `nonce` the ID token
to this login, `iss` (RFC 9207) the answer to this provider. State, nonce and verifier wait in a signed cookie, so that
any gateway of a cluster can finish what another began; each is good for one answer.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import jwt
import structlog

from radbridge.access import Role, as_name
from radbridge.config import Oidc
from radbridge.errors import ConfigError, DeliveryFailed, LoginRefused
from radbridge.journal import secrets as journal_secrets
from radbridge.journal.accounts import Stranger
from radbridge.wire import Store
from radbridge_adapters.security.assertion import Assertion
from radbridge_adapters.security.fetching import Fetched, Unreadable, fetch
from radbridge_adapters.security.jwks import KeySource
from radbridge_adapters.security.replay import spend
from radbridge_adapters.security.tls import client_context

log = structlog.get_logger(__name__)

ALGORITHMS: Final = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
"""Of an ID token's signature, with the type of key each takes; cut with what the provider says it uses."""
LIFE: Final = timedelta(minutes=10)
"""From the way out to the way back."""
LEEWAY: Final = timedelta(seconds=30)
_SECRET: Final = "oidc-states"  # noqa: S105 - the secret's name
_FRESH_S: Final = 3600.0
_AWAY_S: Final = 5.0
"""How long a provider that didn't answer isn't asked again: those who want to log in don't wait one after another."""
_MOST: Final = 255
_REQUIRED: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, kw_only=True, slots=True)
class Departure:
    """Where the browser is sent, and the cookie it takes along."""

    url: str = field(repr=False)
    cookie: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Provider:
    """What its discovery document says."""

    document: Mapping[str, Any] = field(repr=False)
    keys: KeySource
    at: float

    def url(self, name: str) -> str:
        """One of its endpoints."""
        return str(self.document[name])

    @property
    def algorithms(self) -> frozenset[str]:
        """How it may sign."""
        said = self.document.get("id_token_signing_alg_values_supported", ["RS256"])
        return frozenset(ALGORITHMS) & frozenset(map(str, said if isinstance(said, list) else ()))


class OpenId:
    """A provider, and us as its client. Raises ConfigError for a file that can't be used."""

    def __init__(self, settings: Oidc, store: Store, others: Iterable[str] = ()) -> None:
        """`others` are names that nobody may come under: those of systems in the site's file."""
        self._settings = settings
        self._others = frozenset(name.casefold() for name in others)
        self._store = store
        self._issuer = settings.issuer.rstrip("/")
        self._place = f"{self._issuer}/.well-known/openid-configuration"
        self._context = client_context("access.oidc", settings)
        self._client_secret = _read_secret(settings)
        self._found: _Provider | None = None
        self._finding = asyncio.Lock()
        self._failed_at = -_AWAY_S
        self._signing = b""

    async def depart(self) -> Departure:
        """Begin a login. Raises LoginRefused where the provider can't be reached."""
        provider = await self._provider()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        question = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_url,
            "scope": " ".join(self._settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
        }
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "exp": datetime.now(UTC) + LIFE}
        url = provider.url("authorization_endpoint")
        return Departure(
            url=f"{url}{'&' if '?' in url else '?'}{urlencode(question)}",
            cookie=jwt.encode(kept, await self._secret(), algorithm="HS256"),
        )

    async def arrive(self, answer: Mapping[str, str], cookie: str) -> Stranger:
        """Who comes back with the provider's answer. Raises LoginRefused with a fixed word."""
        kept = await self._kept(cookie)
        if not hmac.compare_digest(answer.get("state", "").encode(), str(kept["state"]).encode()):
            raise LoginRefused("state")
        expires_at = datetime.fromtimestamp(int(kept["exp"]), UTC)
        used = Assertion(issuer="oidc", jti=str(kept["state"]), expires_at=expires_at, claims={})
        if not await self._store.write_first(spend, used):
            raise LoginRefused("state_used")
        provider = await self._provider()
        is_told = provider.document.get("authorization_response_iss_parameter_supported") is True
        if (is_told or "iss" in answer) and answer.get("iss") != self._issuer_of(provider):
            raise LoginRefused("issuer")
        if "code" not in answer:
            raise LoginRefused("provider")
        token = await self._redeem(provider, answer["code"], str(kept["verifier"]))
        return self._stranger(await self._verify(provider, token, nonce=str(kept["nonce"])))

    async def ping(self) -> None:
        """Raise DeliveryFailed unless the provider answers with what a login needs."""
        try:
            provider = self._read(await fetch(self._place, self._context))
        except (httpx.HTTPError, TimeoutError, Unreadable) as error:
            told = f"{self._place} can't be asked: {str(error) or type(error).__name__}"
            raise DeliveryFailed("access.oidc", told, sent=False) from None
        if provider is None:
            raise DeliveryFailed("access.oidc", f"{self._place} is no discovery document of this issuer", sent=False)
        if not await provider.keys.find(self._issuer, ""):
            raise DeliveryFailed("access.oidc", f"gives no keys at {provider.url('jwks_uri')}", sent=False)

    def _issuer_of(self, provider: _Provider) -> str:
        return str(provider.document["issuer"])

    async def _redeem(self, provider: _Provider, code: str, verifier: str) -> str:
        """The ID token for the code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect_url,
            "code_verifier": verifier,
        }
        basic = None
        ways = provider.document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if not self._client_secret:
            form["client_id"] = self._settings.client_id
        elif "client_secret_basic" in ways:
            basic = self._settings.client_id, self._client_secret
        else:
            form |= {"client_id": self._settings.client_id, "client_secret": self._client_secret}
        found = await self._ask(provider.url("token_endpoint"), form=form, basic=basic)
        token = found.document.get("id_token") if isinstance(found.document, dict) else None
        if not found.is_ok or not isinstance(token, str):
            raise LoginRefused("code")
        return token

    async def _verify(self, provider: _Provider, token: str, *, nonce: str) -> dict[str, Any]:
        """The claims of an ID token (OpenID Connect Core 1.0, 3.1.3.7)."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise LoginRefused("token") from None
        algorithm, kid = header.get("alg"), header.get("kid", "")  # with one key it needs no name (10.1)
        if algorithm not in provider.algorithms or not isinstance(kid, str):
            raise LoginRefused("algorithm")
        keys = [k for k in await provider.keys.find(self._issuer, kid) if k.key_type == ALGORITHMS[algorithm]]
        claims = self._decode(provider, token, algorithm, keys)
        audience, azp = claims["aud"], claims.get("azp")
        several = isinstance(audience, list) and len(audience) > 1
        if (several or azp is not None) and azp != self._settings.client_id:
            raise LoginRefused("audience")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise LoginRefused("nonce")
        if int(claims["iat"]) < (datetime.now(UTC) - LIFE - LEEWAY).timestamp():
            raise LoginRefused("token")
        return claims

    def _decode(self, provider: _Provider, token: str, algorithm: str, keys: list[jwt.PyJWK]) -> dict[str, Any]:
        for key in keys:
            try:
                return jwt.decode(
                    token,
                    key.key,
                    algorithms=[algorithm],
                    audience=self._settings.client_id,
                    issuer=self._issuer_of(provider),
                    leeway=LEEWAY,
                    options={"require": ["iss", "sub", "aud", "exp", "iat"]},
                )
            except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
                continue
            except jwt.InvalidIssuerError:
                raise LoginRefused("issuer") from None
            except jwt.InvalidAudienceError:
                raise LoginRefused("audience") from None
            except (jwt.PyJWTError, ValueError):
                raise LoginRefused("token") from None
        raise LoginRefused("signature")

    def _stranger(self, claims: Mapping[str, Any]) -> Stranger:
        """Who that is here. Raises LoginRefused where the provider gives no role that the site knows."""
        said: Any = claims
        for part in self._settings.roles_claim.split("."):
            said = said.get(part) if isinstance(said, dict) else None
        words = said if isinstance(said, list) else [said]
        roles = {role for word in words for role in self._settings.roles.get(str(word), ())}
        if not roles:
            raise LoginRefused("no_role")
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _MOST:  # what 2 allows; cut, two could be one
            raise LoginRefused("token")
        names = (as_name(str(claims.get(key) or "")) for key in ("preferred_username", "email", "sub"))
        return Stranger(
            issuer=self._issuer,
            subject=subject,
            name=next(filter(None, names), ""),
            roles=frozenset(map(Role, roles)),
            others=self._others,
        )

    async def _provider(self) -> _Provider:
        async with self._finding:
            if self._found is None or monotonic() - self._found.at > _FRESH_S:
                if monotonic() - self._failed_at < _AWAY_S:
                    raise LoginRefused("provider")
                try:
                    self._found = await self._discover()
                except LoginRefused:
                    self._failed_at = monotonic()
                    raise
            return self._found

    async def _discover(self) -> _Provider:
        """Its discovery document (OpenID Connect Discovery 1.0, 4). Raises LoginRefused."""
        provider = self._read(await self._ask(self._place))
        if provider is None:
            log.warning("the OpenID provider's discovery document can't be used", hint="check access.oidc.issuer")
            raise LoginRefused("provider")
        return provider

    def _read(self, found: Fetched) -> _Provider | None:
        """What a discovery document says; None where it is none, or of another issuer."""
        document = found.document
        schemes = ("https://",) if self._issuer.startswith("https://") else ("https://", "http://")
        is_whole = isinstance(document, dict) and all(
            str(document.get(name, "")).startswith(schemes) for name in _REQUIRED
        )
        if not found.is_ok or not is_whole or str(document.get("issuer", "")).rstrip("/") != self._issuer:
            return None
        keys = KeySource({}, {self._issuer: str(document["jwks_uri"])}, {self._issuer: self._settings})
        return _Provider(document=document, keys=keys, at=monotonic())

    async def _ask(
        self, url: str, *, form: Mapping[str, str] | None = None, basic: tuple[str, str] | None = None
    ) -> Fetched:
        try:
            return await fetch(url, self._context, form=form, basic=basic)
        except (httpx.HTTPError, TimeoutError, Unreadable) as error:
            log.warning("the OpenID provider can't be asked", reason=error, hint="check access.oidc")
            raise LoginRefused("provider") from None

    async def _kept(self, cookie: str) -> dict[str, Any]:
        """What was kept at the departure. Raises LoginRefused."""
        try:
            return jwt.decode(cookie, await self._secret(), algorithms=["HS256"], options={"require": ["exp"]})
        except (jwt.PyJWTError, ValueError):
            raise LoginRefused("state") from None

    async def _secret(self) -> bytes:
        if not self._signing:
            await self._store.write_first(journal_secrets.make, _SECRET)
            self._signing = await self._store.read(lambda conn: journal_secrets.read(conn, _SECRET))
        return self._signing


def challenge_of(verifier: str) -> str:
    """The S256 challenge (RFC 7636 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _read_secret(settings: Oidc) -> str:
    if settings.client_secret_file is None:
        return ""
    try:
        return settings.client_secret_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = type(error).__name__
        raise ConfigError([f"access.oidc.client_secret_file: {settings.client_secret_file}: {why}"]) from None
