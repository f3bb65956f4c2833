"""What this server is called by its clients."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from radbridge.config import Site


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Our URLs."""

    base: str
    """Of the FHIR server; no slash at its end."""

    @property
    def root(self) -> str:
        """What stands before `/fhir`."""
        return self.base.rpartition("/")[0]

    @property
    def token(self) -> str:
        """The token endpoint: the only `aud` that an assertion may have."""
        return f"{self.root}/oauth2/token"

    @property
    def keys(self) -> str:
        """Our own public keys, for servers that we ask."""
        return f"{self.root}/oauth2/jwks"

    def service(self, id: str) -> str:
        """A CDS Hooks service."""
        return f"{self.root}/cds-services/{id}"


def places_of(site: Site, scope: MutableMapping[str, Any]) -> Places:
    """Our URLs as configured; else by the address that this request came to.

    Never by its Host header: a caller would choose what our tokens are good for.
    """
    if site.fhir.base_url:
        return Places(base=site.fhir.base_url.rstrip("/"))
    host, port = scope.get("server") or ("127.0.0.1", 0)
    name = f"[{host}]" if ":" in host else host
    scheme = "https" if site.http.tls_cert else "http"
    return Places(base=f"{scheme}://{name}:{port}/fhir")
