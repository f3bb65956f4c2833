"""Web pages that may call: none, unless the site names their origins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from radbridge_adapters.fhir.request import Answer

_ALLOWED = "Accept, Authorization, Content-Type, If-Match, If-None-Exist, If-None-Match, Prefer"
_SHOWN = "Content-Location, ETag, Last-Modified, Location"


class Cors:
    """Cross-origin requests (Fetch standard). Without origins it answers nothing and adds nothing."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def preflight(self, method: str, headers: Mapping[str, str]) -> Answer | None:
        """The answer to a browser that asks before it calls; None for anything else."""
        if method != "OPTIONS" or "access-control-request-method" not in headers or not self.headers(headers):
            return None
        allowed = {
            "access-control-allow-methods": "GET, HEAD, POST, PUT, DELETE",
            "access-control-allow-headers": _ALLOWED,
            "access-control-max-age": "600",
        }
        return Answer(status=204, headers=allowed)

    def headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """What is added to every answer for a page of a named origin."""
        origin = headers.get("origin", "")
        if origin not in self._origins:
            return {}
        return {"access-control-allow-origin": origin, "access-control-expose-headers": _SHOWN, "vary": "Origin"}
