"""References: what one may look like, and what it may point at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from radbridge_adapters.resources.models import is_resource_type

_LITERAL = re.compile(
    r"(?P<base>https?://\S+/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?"
)
_CONDITIONAL = re.compile(r"(?P<type>[A-Z][A-Za-z]+)\?\S+")
_ELSEWHERE = re.compile(r"(https?://|urn:(uuid|oid):)\S+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Literal:
    """A reference to a resource by its type and id."""

    type: str
    id: str
    base: str = ""
    """`https://fhir.example/r4/` of an absolute one; empty for a relative one."""
    version: str = ""

    @property
    def key(self) -> str:
        """`Patient/12`."""
        return f"{self.type}/{self.id}"


def parse_reference(text: str) -> Literal | None:
    """A relative or absolute literal reference; None for a fragment, a URN or a conditional one."""
    match = _LITERAL.fullmatch(text)
    if match is None:
        return None
    return Literal(type=match["type"], id=match["id"], base=match["base"] or "", version=match["version"] or "")


def find_references(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every Reference in a document with its FHIRPath: objects with a `reference` that is text, at any depth."""
    waiting = [(path, value)]
    while waiting:
        place, item = waiting.pop()
        if isinstance(item, list):
            waiting += [(f"{place}[{index}]", one) for index, one in enumerate(item)]
        elif isinstance(item, dict):
            if isinstance(item.get("reference"), str):
                yield place, item
            waiting += [(f"{place}.{name}" if place else name, one) for name, one in item.items()]


def fault_of(
    reference: dict[str, Any], targets: frozenset[str] | None, root: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """What is wrong with one Reference, as issue code and sentence; `root` is the resource that it stands in."""
    text = reference.get("reference")
    if not isinstance(text, str):
        return
    if text.startswith("#"):
        kind = _contained_type(text[1:], root)
        if kind is None:
            yield "value", "no contained resource has this id"
            return
    else:
        match = _LITERAL.fullmatch(text) or _CONDITIONAL.fullmatch(text)
        if match is None:
            if not _ELSEWHERE.fullmatch(text):
                yield "value", "neither Type/id, nor #id, nor an absolute URL, nor a urn:uuid"
            return
        kind = match["type"]
        if not is_resource_type(kind):
            if not match.groupdict().get("base"):
                yield "value", "no resource type of FHIR R4"
            return
    if targets is not None and kind not in targets:
        yield "invariant", "this element may not point at a resource of that type"


def _contained_type(fragment: str, root: dict[str, Any]) -> str | None:
    """The type of what `#fragment` names; `#` alone is the resource itself (R4 references.html#contained)."""
    if not fragment:
        return str(root.get("resourceType"))
    contained = root.get("contained")
    for resource in contained if isinstance(contained, list) else ():
        if isinstance(resource, dict) and resource.get("id") == fragment:
            return str(resource.get("resourceType"))
    return None
