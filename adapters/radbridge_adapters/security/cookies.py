"""The cookie of a login session, and how a request proves that our own page sent it."""

from __future__ import annotations

import hmac
from collections.abc import MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import urlsplit

from radbridge.config import Site
from radbridge_adapters.security.http import header_of

CSRF: Final = "x-csrf-token"
"""The header that every request with the cookie needs, unless it only reads."""
SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))


def is_secure(site: Site) -> bool:
    """Whether browsers reach us by HTTPS: our own, or that of the proxy that `fhir.base_url` names."""
    return site.http.tls is not None or (site.fhir.base_url or "").startswith("https://")


def name_of(site: Site, purpose: str = "") -> str:
    """The cookie's name. `__Host-` has browsers take it by HTTPS alone, from this very host."""
    return ("__Host-radbridge" if is_secure(site) else "radbridge") + (f"-{purpose}" if purpose else "")


def write(site: Site, value: str, *, purpose: str = "", max_age_s: int) -> str:
    """The `Set-Cookie` header; without a value it takes the cookie away."""
    secure = "; Secure" if is_secure(site) else ""
    life = max_age_s if value else 0
    return f"{name_of(site, purpose)}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={life}{secure}"


def read(site: Site, scope: MutableMapping[str, Any], *, purpose: str = "") -> str:
    """The cookie's value; empty where there is none."""
    try:
        found = SimpleCookie(header_of(scope, b"cookie")).get(name_of(site, purpose))
    except CookieError:
        return ""
    return found.value if found else ""


def is_ours(site: Site, scope: MutableMapping[str, Any], csrf: str) -> bool:
    """Whether a page of ours sent this: it tells by the origin, and by a word that no other page can read."""
    if not is_from_here(site, scope):
        return False
    if scope["type"] == "websocket":
        return bool(header_of(scope, b"origin"))
    return scope["method"] in SAFE or hmac.compare_digest(header_of(scope, CSRF.encode()).encode(), csrf.encode())


def is_from_here(site: Site, scope: MutableMapping[str, Any]) -> bool:
    """Whether no page of another origin sent this. Browsers name the origin of whatever isn't a plain link."""
    origin = header_of(scope, b"origin")
    return not origin or origin in _origins(site, scope)


def _origins(site: Site, scope: MutableMapping[str, Any]) -> set[str]:
    scheme = "https" if is_secure(site) else "http"
    if site.fhir.base_url:
        base = urlsplit(site.fhir.base_url)
        return {f"{base.scheme}://{base.netloc}"}
    return {f"{scheme}://{header_of(scope, b'host')}"}
