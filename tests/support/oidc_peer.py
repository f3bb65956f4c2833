"""An OpenID provider that answers as a test wants it to: right, or wrong in one point. It checks PKCE."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.support.http_peer import Asked, Reply, answer, run_peer

CLIENT = "radbridge"
KID = "k1"
KEY = rsa.generate_private_key(65537, 2048)


@dataclass
class Provider:
    """`claims` replace the right ones of the next ID token, `headers` those of its signature."""

    claims: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    key: Any = KEY
    metadata: dict[str, Any] = field(default_factory=dict)
    issuer: str = ""
    asked: dict[str, str] = field(default_factory=dict)
    """What the browser brought to the authorization endpoint."""
    forms: list[dict[str, str]] = field(default_factory=list)
    """What was sent to the token endpoint."""
    used: set[str] = field(default_factory=set)
    replies: dict[str, Reply] = field(default_factory=dict)

    def visit(self, url: str, **more: str) -> dict[str, str]:
        """The browser's visit, and what it takes back to us."""
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert self.asked["code_challenge_method"] == "S256"
        return {"code": "c1", "state": self.asked["state"], **more}

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        } | self.metadata

    async def token(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        form = dict(parse_qsl(asked.body))
        self.forms.append(form)
        hashed = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
        is_good = challenge == self.asked["code_challenge"] and form["code"] not in self.used
        self.used.add(form["code"])
        reply = answer(200, {"id_token": self.sign()}) if is_good else answer(400, {"error": "invalid_grant"})
        await reply(asked, writer)

    def sign(self) -> str:
        now = int(time.time())
        right: dict[str, Any] = {
            "iss": self.issuer,
            "sub": "u-1",
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": self.asked["nonce"],
            "preferred_username": "alice",
            "roles": ["radiology-operators"],
        }
        claims = {name: value for name, value in (right | self.claims).items() if value is not None}
        return jwt.encode(claims, self.key, algorithm=self.algorithm, headers={"kid": KID} | self.headers)


def jwks() -> Mapping[str, Any]:
    public = json.loads(RSAAlgorithm.to_jwk(KEY.public_key()))
    return {"keys": [public | {"kid": KID, "use": "sig"}]}


@asynccontextmanager
async def providing(provider: Provider) -> AsyncIterator[Provider]:
    """The provider on a port of its own."""

    async def discover(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await answer(200, provider.discovery())(asked, writer)

    replies = {
        "/.well-known/openid-configuration": discover,
        "/token": provider.token,
        "/jwks": answer(200, jwks()),
    }
    async with run_peer(replies | provider.replies) as peer:
        provider.issuer = peer.url
        yield provider
