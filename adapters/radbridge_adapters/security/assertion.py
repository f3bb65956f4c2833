"""Signed client assertions (SMART Backend Services; RFC 7523): others' verified, ours signed."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from radbridge.errors import MessageFault

ALGORITHMS = ("RS384", "ES384")
"""What SMART asks for, and nothing beside it: not `none`, no HS algorithm with a public key as its secret."""
MAX_LIFE = timedelta(minutes=5)
LEEWAY = timedelta(seconds=30)
"""Between the clocks of two machines."""
_MAX_BYTES = 16384
_MAX_TEXT = 255
_CLAIMS = ("iss", "aud", "exp", "jti")
_KEY_TYPES = {"RS384": "RSA", "ES384": "EC"}
_RSA_BITS = 2048

FindKeys = Callable[[str, str], Awaitable[Sequence[jwt.PyJWK]]]
"""(issuer, kid) -> the keys it may be signed with; none for an issuer that nobody registered."""


class AssertionFault(MessageFault):
    """An assertion that proves nothing. Its reason is for our log; the sender learns only `invalid_client`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Assertion:
    """Who proved to be whom."""

    issuer: str
    jti: str = field(repr=False)
    expires_at: datetime
    claims: dict[str, Any] = field(repr=False)


async def verify(raw: str, *, audiences: Sequence[str], find_keys: FindKeys, own_subject: bool = True) -> Assertion:
    """The assertion in `raw`, signed by a key of its issuer for just one of these audiences.

    With `own_subject`, `sub` has to be the issuer. Whether it comes a second time is for the caller to ask.
    Raises AssertionFault.
    """
    if len(raw) > _MAX_BYTES:
        raise AssertionFault("too_large", "the assertion is too large")
    algorithm, kid, issuer = _look_into(raw)
    keys = await find_keys(issuer, kid)
    if not keys:
        raise AssertionFault("unknown_key", "no such client, or no such key of it")
    claims = _decode(raw, algorithm, issuer, keys)
    if int(claims["exp"]) > (datetime.now(UTC) + MAX_LIFE + LEEWAY).timestamp():  # before it is a date: it may be none
        raise AssertionFault("lives_too_long", "exp is more than five minutes away")
    expires_at, jti = datetime.fromtimestamp(int(claims["exp"]), UTC), claims["jti"]
    if claims["aud"] not in audiences:  # a list of several is none of them: whoever gets one could use it at another
        raise AssertionFault("audience", "aud is not this server's URL")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_TEXT:
        raise AssertionFault("no_jti", "jti is no short text")
    if own_subject and claims.get("sub") != issuer:
        raise AssertionFault("subject", "sub is not iss")
    return Assertion(issuer=issuer, jti=jti, expires_at=expires_at + LEEWAY, claims=claims)


def sign(private: jwt.PyJWK, *, client_id: str, audience: str) -> str:
    """Our own assertion, good for one use within five minutes."""
    now = datetime.now(UTC)
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now,
        "exp": now + MAX_LIFE - LEEWAY,
        "jti": secrets.token_urlsafe(24),
    }
    return jwt.encode(claims, private.key, algorithm=private.algorithm_name, headers={"kid": private.key_id})


def _look_into(raw: str) -> tuple[str, str, str]:
    """The algorithm, the key's id and the issuer that it names; nothing of it is proven yet."""
    try:
        header = jwt.get_unverified_header(raw)
        issuer = jwt.decode(raw, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise AssertionFault("no_jwt", "the assertion is no JWT") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise AssertionFault("algorithm", "alg is neither RS384 nor ES384")
    if not isinstance(kid, str) or not kid or not isinstance(issuer, str) or len(issuer) > _MAX_TEXT:
        raise AssertionFault("no_kid", "kid or iss is missing")
    return str(algorithm), kid, issuer


def _decode(raw: str, algorithm: str, issuer: str, keys: Sequence[jwt.PyJWK]) -> dict[str, Any]:
    for key in keys:
        if key.key_type != _KEY_TYPES[algorithm] or (key.key_type == "RSA" and key.key.key_size < _RSA_BITS):
            continue
        try:
            return jwt.decode(
                raw,
                key.key,
                algorithms=[algorithm],
                issuer=issuer,
                leeway=LEEWAY,
                options={"require": list(_CLAIMS), "verify_aud": False},
            )
        except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
            continue  # another key of the same kid
        except jwt.PyJWTError as error:
            raise AssertionFault(type(error).__name__, "the assertion does not hold") from None
    raise AssertionFault("signature", "no key of the client signed it")
