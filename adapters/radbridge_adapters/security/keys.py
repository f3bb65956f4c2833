"""Our own signing keys: a private JWK in a file, made and shown by `radbridge keys`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import jwt
import orjson
import typer
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from radbridge.errors import ConfigError
from radbridge_adapters.security.assertion import ALGORITHMS
from radbridge_adapters.security.jwks import public_set
from radbridge_adapters.security.pins import read_pin

app = typer.Typer(help="Our signing key for other people's FHIR servers; the pins of certificates.")

_RSA_BITS = 3072


class Algorithm(StrEnum):
    """What SMART allows."""

    ES384 = "ES384"
    RS384 = "RS384"


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivateKey:
    """A key to sign with."""

    kid: str
    jwk: jwt.PyJWK = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)


def read_private(path: Path) -> PrivateKey:
    """The key in `path`. Raises ConfigError, which never shows what is in there."""
    try:
        document = orjson.loads(path.read_bytes())
        jwk = jwt.PyJWK(document)
        if not document["kid"] or "d" not in document or jwk.algorithm_name not in ALGORITHMS:
            raise ValueError("no private key")
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}; make one with `radbridge keys make`"]) from None
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError):
        raise ConfigError([f"{path}: no private JWK for ES384 or RS384; make one with `radbridge keys make`"]) from None
    return PrivateKey(kid=str(document["kid"]), jwk=jwk, document=document)


def make_private(algorithm: Algorithm) -> dict[str, Any]:
    """A new private JWK."""
    if algorithm is Algorithm.ES384:
        document = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()), as_dict=True)
    else:
        document = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, _RSA_BITS), as_dict=True)
    named = {"kid": secrets.token_hex(8), "alg": str(algorithm), "use": "sig"}
    return {name: value for name, value in document.items() if name != "key_ops"} | named


@app.command()
def make(
    out: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    algorithm: Annotated[Algorithm, typer.Option(help="What to sign with.")] = Algorithm.ES384,
) -> None:
    """Write a new private key, for `key_file` in site.toml, and print the public JWK set to register.

    Example: [cyan]radbridge keys make ehr-key.json[/]
    """
    document = make_private(algorithm)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        typer.echo(f"{out}: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(document))
    _print_public(document)


@app.command()
def show(key_file: Annotated[Path, typer.Argument(help="A private key.")]) -> None:
    """Print the public JWK set of a key: what the other side registers.

    Example: [cyan]radbridge keys show ehr-key.json[/]
    """
    try:
        _print_public(read_private(key_file).document)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


@app.command()
def pin(certificate: Annotated[Path, typer.Argument(help="A certificate (PEM).")]) -> None:
    """Print the pin of a certificate's key, for `pins` and `client_pins`; a renewal with the same key keeps it.

    Example: [cyan]radbridge keys pin pacs.pem[/]
    """
    try:
        typer.echo(read_pin(certificate))
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _print_public(document: Mapping[str, Any]) -> None:
    typer.echo(orjson.dumps(public_set([document]), option=orjson.OPT_INDENT_2).decode())
