"""Client assertions: only a fresh one, of a registered client, for this very server, by its own key, holds."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.security.assertion import AssertionFault, sign, verify
from radbridge_adapters.security.jwks import KeySource, public_set, read_keys
from radbridge_adapters.security.keys import Algorithm, make_private
from tests.support.smart import Signer, es384, rs384

HERE = "http://127.0.0.1:8080/oauth2/token"
PACS, EHR, THIEF, SMALL = es384("pacs"), rs384("ehr"), es384("pacs"), rs384("small", bits=1024)
SOURCE = KeySource({"pacs": PACS.jwks, "ehr": EHR.jwks, "small": SMALL.jwks}, {})


def now(seconds: float) -> int:
    return int(time.time() + seconds)


def public_pem(signer: Signer) -> bytes:
    public = signer.key.public_key()
    return bytes(public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


def unsigned(header: dict[str, Any]) -> str:
    """A token with any header and no signature."""
    claims = jwt.decode(PACS.sign(HERE), options={"verify_signature": False})
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, ""])


def hs256_with_the_public_key() -> str:
    """The old trick: a public key is no secret, and a careless server takes it as one."""
    import hashlib
    import hmac

    signing = unsigned({"alg": "HS256", "kid": "k1", "typ": "JWT"}).rstrip(".")
    mac = hmac.new(public_pem(PACS), signing.encode(), hashlib.sha256).digest()
    return f"{signing}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize("signer", [PACS, EHR], ids=["ES384", "RS384"])
async def test_a_right_assertion_holds(signer: Signer) -> None:
    """Both algorithms of SMART prove who the client is."""
    assertion = await verify(signer.sign(HERE), audiences=(HERE,), find_keys=SOURCE.find)
    assert assertion.issuer == signer.client


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long")  # PyJWT tells the stranger who signs with it
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: unsigned({"alg": "none", "kid": "k1"}), "algorithm"),
        (lambda: unsigned({"alg": ["none"], "kid": "k1"}), "algorithm"),
        (hs256_with_the_public_key, "algorithm"),
        (lambda: EHR.sign(HERE, algorithm="RS256"), "algorithm"),
        (lambda: PACS.sign(HERE, exp=now(-60)), "ExpiredSignatureError"),
        (lambda: PACS.sign(HERE, exp=now(360)), "lives_too_long"),
        (lambda: PACS.sign(HERE, exp=10**17), "lives_too_long"),
        (lambda: PACS.sign(HERE, exp=float("inf")), "DecodeError"),
        (lambda: PACS.sign(HERE, exp=None), "MissingRequiredClaimError"),
        (lambda: PACS.sign(HERE, nbf=now(120)), "ImmatureSignatureError"),
        (lambda: PACS.sign("http://elsewhere/token"), "audience"),
        (lambda: PACS.sign(HERE + "/"), "audience"),
        (lambda: PACS.sign(HERE, aud=[HERE, "http://elsewhere"]), "audience"),
        (lambda: PACS.sign(HERE, jti=None), "MissingRequiredClaimError"),
        (lambda: PACS.sign(HERE, jti=""), "no_jti"),
        (lambda: PACS.sign(HERE, jti="x" * 300), "no_jti"),
        (lambda: PACS.sign(HERE, sub="ehr"), "subject"),
        (lambda: PACS.sign(HERE, iss="ehr", sub="ehr"), "signature"),
        (lambda: PACS.sign(HERE, iss="nobody"), "unknown_key"),
        (lambda: PACS.sign(HERE, kid="k2"), "unknown_key"),
        (lambda: PACS.sign(HERE, kid=None), "no_kid"),
        (lambda: THIEF.sign(HERE), "signature"),
        (lambda: SMALL.sign(HERE), "signature"),
        (lambda: "x" * 20000, "too_large"),
        (lambda: "a.b.c", "no_jwt"),
        (lambda: "", "no_jwt"),
    ],
)
async def test_any_other_assertion_is_refused(make: Callable[[], str], reason: str) -> None:
    """Each way to be wrong has a reason of its own in our log."""
    with pytest.raises(AssertionFault) as caught:
        await verify(make(), audiences=(HERE,), find_keys=SOURCE.find)
    assert caught.value.reason == reason


async def test_a_wrong_algorithm_is_refused_before_keys_are_looked_for() -> None:
    """An unsigned assertion makes us fetch nothing."""

    async def find(issuer: str, kid: str) -> Sequence[jwt.PyJWK]:
        raise ZeroDivisionError

    with pytest.raises(AssertionFault):
        await verify(unsigned({"alg": "none", "kid": "k1"}), audiences=(HERE,), find_keys=find)


@given(st.data())
async def test_a_changed_assertion_never_holds(data: st.DataObject) -> None:
    """One character changed anywhere: refused, and with no other error than our own."""
    raw = PACS.sign(HERE)
    place = data.draw(st.integers(0, len(raw) - 2))
    letter = data.draw(st.sampled_from("ABCxyz019-_.=é"))
    if letter == raw[place]:
        return
    with pytest.raises(AssertionFault):
        await verify(raw[:place] + letter + raw[place + 1 :], audiences=(HERE,), find_keys=SOURCE.find)


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_our_own_assertions_hold_elsewhere(algorithm: Algorithm) -> None:
    """What we sign, a server that follows the rules accepts, twice with another jti."""
    document = make_private(algorithm)
    source = KeySource({"radbridge": public_set([document])}, {})
    jtis = set()
    for _ in range(2):
        raw = sign(jwt.PyJWK(document), client_id="radbridge", audience=HERE)
        jtis.add((await verify(raw, audiences=(HERE,), find_keys=source.find)).jti)
    assert len(jtis) == 2


def test_a_published_set_holds_no_private_part() -> None:
    """Neither ours nor a client's that published too much."""
    private = make_private(Algorithm.RS384)
    assert set(public_set([private])["keys"][0]) == {"kty", "kid", "use", "alg", "n", "e"}
    (key,) = read_keys({"keys": [private, {"kty": "oct", "k": "AAAA"}, {"kty": "EC"}, 7]})
    assert not hasattr(key.key, "private_numbers")
