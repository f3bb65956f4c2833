"""`[http]`: the HTTP port."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from radbridge.config.tls import Pin, Tls
from radbridge.config.values import Address, Section, is_loopback, split_address


class Http(Section):
    """The HTTP port: health, metrics, FHIR, FHIRcast, CDS Hooks."""

    listen: Address = "127.0.0.1:8080"
    tls_cert: Path | None = None
    """The server's certificate with its chain (PEM); with it, only HTTPS is spoken."""
    tls_key: Path | None = None
    client_ca: Path | None = None
    """Who issues the certificates that every caller must show (mutual TLS)."""
    client_pins: tuple[Pin, ...] = ()
    """Of those, the keys that are let in; empty: all."""
    ws_max_bytes: int = Field(default=2**20, ge=1024, le=2**30)
    """Of one message that comes in over a WebSocket."""
    rate_per_s: float = Field(default=50.0, ge=0, le=100_000)
    """Requests of one known client, or of another machine, for long; more gets 429. 0: as many as come."""
    burst: int = Field(default=200, ge=1, le=1_000_000)
    """Requests at once before the rate counts."""
    request_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """For a request's headers, and again for its body."""
    metrics_token_file: Path | None = None
    """Holds a bearer token that `/metrics` then asks for; None: whoever reaches the port may read it."""

    @model_validator(mode="after")
    def _whole_tls(self) -> Http:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.client_ca is not None and self.tls_cert is None:
            raise ValueError("client_ca needs tls_cert and tls_key")
        if self.client_pins and self.client_ca is None:
            raise ValueError("client_pins needs client_ca")
        return self

    @property
    def tls(self) -> Tls | None:
        """What the listener speaks; None: plain HTTP."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return Tls(cert=self.tls_cert, key=self.tls_key, client_ca=self.client_ca, client_pins=self.client_pins)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        return is_loopback(split_address(self.listen)[0])
