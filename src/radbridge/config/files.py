"""The files that a site's file names: which of them hold secrets, and which certificates we show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from radbridge.config.http import Http
from radbridge.config.tls import Tls, TlsClient, Trust

SECRET = frozenset(
    """basic_file client_secret_file headers_file key key_file metrics_token_file password_file tls_key
    token_file""".split()
)
"""Keys whose files prove who we are, or open what is ours."""
PUBLIC = frozenset("ca_file cert client_ca recipe server tls_cert".split())
"""Keys whose files anybody may read."""
OTHERS = 0o037
"""Modes that a secret's file must not have. Its group may read it: Kubernetes gives a secret to whoever isn't root by
their group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedFile:
    """A file that is opened at the start."""

    key: str
    """`fhir.destinations.ehr.key_file`."""
    path: Path
    is_secret: bool


def find_files(section: BaseModel, place: str = "") -> Iterator[NamedFile]:
    """Every one below a table of the site's file."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Path) and (name in SECRET or name in PUBLIC or name == "cert_file"):
            is_secret = name in SECRET or (name == "cert_file" and _holds_key(section))
            yield NamedFile(key=f"{place}{name}", path=value, is_secret=is_secret)
    for name, below in _below(section):
        yield from find_files(below, f"{place}{name}.")


def find_certificates(section: BaseModel, place: str = "") -> Iterator[tuple[str, Path]]:
    """Our own ones, each with the name of who shows it: `http`, `hl7v2`, `model`, `fhir.destinations.ehr`."""
    own = None
    if isinstance(section, Tls):
        own = section.cert
    elif isinstance(section, Trust):
        own = section.cert_file
    elif isinstance(section, Http):
        own = section.tls_cert
    if own is not None:
        yield place.removesuffix(".").removesuffix(".tls"), own
    for name, below in _below(section):
        yield from find_certificates(below, f"{place}{name}.")


def _below(section: BaseModel) -> Iterator[tuple[str, BaseModel]]:
    """The tables of a table, those of a list by what they are called."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield name, value
        elif isinstance(value, tuple):
            named = [(getattr(one, "name", getattr(one, "id", "")), one) for one in value if isinstance(one, BaseModel)]
            yield from ((f"{name}.{own}", one) for own, one in named)
        elif isinstance(value, dict):
            yield from ((f"{name}.{own}", one) for own, one in value.items() if isinstance(one, BaseModel))


def _holds_key(section: BaseModel) -> bool:
    """Whether the key of `cert_file` stands in there too."""
    return not (isinstance(section, TlsClient) and section.key_file is not None)
