"""Our access tokens: JWTs that only this site reads, signed with a secret of its journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

LIFE = timedelta(minutes=5)
_ALGORITHM = "HS256"


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """What a token says."""

    client: str
    scopes: tuple[str, ...]


class TokenMint:
    """Issues and checks tokens for the server at `base`. Nobody else has to check them: one secret does."""

    def __init__(self, secret: bytes, base: str) -> None:
        self._secret = secret
        self._base = base

    def issue(self, client: str, scopes: Sequence[str]) -> str:
        """A token for five minutes."""
        now = datetime.now(UTC)
        claims = {
            "iss": self._base,
            "aud": self._base,
            "sub": client,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + LIFE,
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM, headers={"typ": "at+jwt"})

    def check(self, token: str) -> Granted | None:
        """What the token grants; None for one that isn't ours or is over."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=self._base,
                audience=self._base,
                options={"require": ["exp", "sub", "scope"]},
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        return Granted(client=str(claims["sub"]), scopes=tuple(str(claims["scope"]).split()))
