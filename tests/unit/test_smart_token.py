"""Our access tokens: only one that this site issued, for itself, and that isn't over, opens anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from radbridge_adapters.security.token import TokenMint
from tests.support.smart import es384

SECRET, BASE = b"s" * 32, "http://127.0.0.1:8080/fhir"
MINT = TokenMint(SECRET, BASE)


def forge(secret: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token with other claims; None leaves one out."""
    now = datetime.now(UTC)
    right = {
        "iss": BASE,
        "aud": BASE,
        "sub": "pacs",
        "scope": "system/*.rs",
        "iat": now,
        "exp": now + timedelta(days=1),  # those below are made when this file is read
    }
    said = {name: value for name, value in (right | claims).items() if value is not None}
    return jwt.encode(said, secret, algorithm=algorithm)


def test_what_is_issued_is_read_back() -> None:
    """Client and scopes, as they were granted."""
    granted = MINT.check(MINT.issue("pacs", ["system/Patient.r", "system/Observation.rs"]))
    assert granted is not None
    assert (granted.client, granted.scopes) == ("pacs", ("system/Patient.r", "system/Observation.rs"))
    assert MINT.check(forge()) is not None


@pytest.mark.parametrize(
    "token",
    [
        forge(exp=datetime.now(UTC) - timedelta(seconds=1)),
        forge(exp=None),
        forge(sub=None),
        forge(scope=None),
        forge(iss="http://elsewhere/fhir"),
        forge(aud="http://elsewhere/fhir"),
        forge(secret=b"t" * 32),
        forge(secret=None, algorithm="none"),
        forge(secret=es384().key, algorithm="ES384"),
        TokenMint(SECRET, "http://elsewhere/fhir").issue("pacs", ["system/*.rs"]),
        "",
        "a.b.c",
        "é" * 50,
    ],
    ids="expired endless nobody scopeless issuer audience secret none es384 elsewhere empty rubbish letters".split(),
)
def test_any_other_token_is_none(token: str) -> None:
    """Expired, incomplete, of another site, or signed otherwise."""
    assert MINT.check(token) is None
