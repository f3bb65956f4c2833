"""TLS in a site's file: what a listener shows, whom a client trusts, and pins on top of both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from radbridge.config.values import Section

Pin = Annotated[str, Field(pattern=r"^sha256/[A-Za-z0-9+/]{43}=$")]
"""The SHA-256 of a public key (SubjectPublicKeyInfo), as in RFC 7469 2.4: `radbridge keys pin cert.pem` prints it."""


class Tls(Section):
    """A listener that speaks TLS, and nothing else."""

    cert: Path
    """Ours, with its chain (PEM)."""
    key: Path
    client_ca: Path | None = None
    """Who issues the certificates that every caller must show."""
    client_pins: tuple[Pin, ...] = ()
    """Of those, the keys that are let in; empty: all."""

    @model_validator(mode="after")
    def _pins_of_somebody(self) -> Tls:
        if self.client_pins and self.client_ca is None:
            raise ValueError("client_pins needs client_ca")
        return self


class Trust(Section):
    """Towards a server: whom to trust, and what to show of ourselves."""

    ca_file: Path | None = None
    """Whom to trust instead of the system's authorities; a self-signed certificate is its own."""
    cert_file: Path | None = None
    """Our certificate with its chain (PEM), and its key unless that is in a file of its own: mutual TLS."""
    pins: tuple[Pin, ...] = ()
    """The keys that the server may have; empty: any that the authorities vouch for."""


class TlsClient(Trust):
    """A `Trust` for a wire whose address doesn't say whether it is TLS."""

    tls: bool = False
    key_file: Path | None = None
    """The key of `cert_file`; None: it stands in there."""
    server_name: str = Field(default="", max_length=253)
    """The name that the certificate has, where that isn't the address's host."""

    @model_validator(mode="after")
    def _whole_tls(self) -> TlsClient:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file")
        if not self.tls and (self.ca_file or self.cert_file or self.pins or self.server_name):
            raise ValueError("ca_file, cert_file, pins and server_name need tls = true")
        return self
