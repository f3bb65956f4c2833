"""A client's keys and assertions, made with PyJWT and cryptography alone: what a stranger would send."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Signer:
    """A client with one key."""

    client: str
    algorithm: str
    key: Any
    kid: str = "k1"

    @property
    def jwks(self) -> dict[str, Any]:
        """Its public keys."""
        to_jwk = ECAlgorithm.to_jwk if self.algorithm.startswith("ES") else RSAAlgorithm.to_jwk
        public = dict(to_jwk(self.key.public_key(), as_dict=True))
        return {"keys": [public | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}]}

    def sign(self, audience: str, *, algorithm: str = "", key: Any = None, kid: str | None = "", **claims: Any) -> str:
        """An assertion; `claims` replace the right ones, and None leaves one out."""
        right = {
            "iss": self.client,
            "sub": self.client,
            "aud": audience,
            "exp": int(time.time()) + 200,
            "jti": uuid.uuid4().hex,
        }
        said = {name: value for name, value in (right | claims).items() if value is not None}
        headers = {} if kid is None else {"kid": kid or self.kid}
        return jwt.encode(said, key or self.key, algorithm=algorithm or self.algorithm, headers=headers)

    def form(self, token_url: str, *, scope: str = "system/*.rs", **claims: Any) -> dict[str, str]:
        """A request for a token."""
        return {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": TYPE,
            "client_assertion": self.sign(token_url, **claims),
        }


def es384(client: str = "pacs") -> Signer:
    return Signer(client, "ES384", ec.generate_private_key(ec.SECP384R1()))


def rs384(client: str = "ehr", bits: int = 2048) -> Signer:
    return Signer(client, "RS384", rsa.generate_private_key(65537, bits))
