"""Which interaction a method and a path ask for (R4 http.html), as a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from radbridge_adapters.fhir.types import TYPES
from radbridge_adapters.resources.models import is_resource_type
from radbridge_adapters.resources.outcome import Issues, refuse

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One line of the table."""

    method: str
    path: str
    """`{type}/{id}/_history/{version}`; empty for the server itself."""
    interaction: str
    verb: str = ""
    """What the token has to allow of SMART's `cruds`; empty where each part of the body is asked for by itself."""
    needs: str = ""
    """The member of `TYPES` that the type has to have."""
    is_public: bool = False
    """Whether it is answered without a login: it tells how to log in."""
    of_type: str = ""
    """The only type that has it."""


ROUTES: Sequence[Route] = (
    Route(method="GET", path="metadata", interaction="capabilities", is_public=True),
    Route(method="GET", path="openapi.json", interaction="openapi", is_public=True),
    Route(method="GET", path=".well-known/smart-configuration", interaction="smart", is_public=True),
    Route(method="POST", path="", interaction="bundle"),
    Route(method="GET", path="{type}", interaction="search", verb="s", needs="search"),
    Route(method="POST", path="{type}/_search", interaction="search", verb="s", needs="search"),
    Route(method="POST", path="{type}", interaction="create", verb="c", needs="create"),
    Route(method="PUT", path="{type}", interaction="update", verb="u", needs="update"),
    Route(method="GET", path="{type}/{id}", interaction="read", verb="r", needs="read"),
    Route(method="PUT", path="{type}/{id}", interaction="update", verb="u", needs="update"),
    Route(method="GET", path="{type}/{id}/_history", interaction="history", verb="r", needs="history"),
    Route(method="GET", path="{type}/{id}/_history/{version}", interaction="vread", verb="r", needs="vread"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A route and what its path held."""

    route: Route
    type: str = ""
    id: str = field(default="", repr=False)
    version: str = ""


class Router:
    """Finds routes. HEAD is answered as GET is, without a body."""

    def __init__(self, routes: Sequence[Route] = ROUTES) -> None:
        self.routes = routes
        self._by_length: dict[int, list[tuple[Route, Sequence[str]]]] = {}
        for route in routes:
            names = route.path.split("/") if route.path else []
            self._by_length.setdefault(len(names), []).append((route, names))

    def find(self, method: str, path: str) -> Found:
        """Raises Issues: 404 for an address that isn't here, 405 for a method that it doesn't take."""
        parts = [part for part in path.split("/") if part]
        fitting = self._fitting(parts)
        wanted = "GET" if method == "HEAD" else method
        for found in fitting:
            if found.route.method == wanted and _is_taken(found):
                return found
        raise _refusal(parts, {found.route.method for found in fitting if _is_taken(found)})

    def allowed(self, path: str) -> str:
        """The methods that an address takes, for `Allow`."""
        parts = [part for part in path.split("/") if part]
        return ", ".join(sorted({found.route.method for found in self._fitting(parts) if _is_taken(found)}))

    def _fitting(self, parts: Sequence[str]) -> list[Found]:
        routes = self._by_length.get(len(parts), ())
        return [found for route, names in routes if (found := _fit(route, names, parts)) is not None]


def _fit(route: Route, names: Sequence[str], parts: Sequence[str]) -> Found | None:
    held: dict[str, str] = {}
    for name, part in zip(names, parts, strict=True):
        if name.startswith("{"):
            held[name[1:-1]] = part
        elif name != part:
            return None
    kind, id = held.get("type", route.of_type), held.get("id", "")
    if kind and not is_resource_type(kind):
        return None
    if (route.of_type and kind != route.of_type) or (id and not _ID.fullmatch(id)):
        return None
    return Found(route=route, type=kind, id=id, version=held.get("version", ""))


def _is_taken(found: Found) -> bool:
    return not found.route.needs or found.route.needs in TYPES.get(found.type, ())


def _refusal(parts: Sequence[str], methods: set[str]) -> Issues:
    if methods:
        return refuse("not-supported", "the address doesn't take this method", status=405)
    if parts and is_resource_type(parts[0]) and parts[0] not in TYPES:
        return refuse("not-supported", "this server doesn't keep this resource type", status=404)
    return refuse("not-found", "nothing is at this address", status=404)
