"""Rules of R4 that no shape holds, by element path and with the key that the standard gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from radbridge_adapters.resources.models import Shape
from radbridge_adapters.resources.primitives import is_instant

Document = Mapping[str, Any]


def broken_rules(shape: Shape, value: Document) -> Iterator[str]:
    """A sentence for each rule that `value` breaks."""
    if value.keys() == {"id"} and shape.name != "Element":  # that one stands beside a primitive's value
        yield "ele-1: an element has a value or children"
    for holds, sentence in RULES.get(shape.path, ()):
        if not holds(value):
            yield sentence


def _count(value: Document, *prefixes: str) -> int:
    return sum(1 for name in value if name.startswith(prefixes))


def _needs(told: str, other: str) -> Callable[[Document], bool]:
    return lambda value: told not in value or other in value or f"_{other}" in value


def _any_of(*names: str) -> Callable[[Document], bool]:
    return lambda value: any(name in value for name in names)


def _is_in_order(period: Document) -> bool:
    """Only two whole moments are compared: `2026` and `2026-03-01` overlap."""
    moments = [_moment(text) for name in ("start", "end") if is_instant(text := period.get(name))]
    return moments == sorted(moments)


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(text.replace(":60", ":59"))


def _entries(bundle: Document) -> Sequence[Document]:
    entries = bundle.get("entry")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _has_in_every_entry(name: str, types: Sequence[str]) -> Callable[[Document], bool]:
    """bdl-3, bdl-4: every entry has it in a Bundle of these types, none has it in another.

    A sequence: a type that is an array or an object is in none, and in a set it couldn't even be looked for.
    """
    return lambda bundle: all((name in entry) is (bundle.get("type") in types) for entry in _entries(bundle))


def _full_urls_differ(bundle: Document) -> bool:
    if bundle.get("type") == "history":
        return True
    urls = [url for entry in _entries(bundle) if isinstance(url := entry.get("fullUrl"), str)]
    return len(urls) == len(set(urls))


_REQUESTS = ("batch", "transaction", "history")
_RESPONSES = ("batch-response", "transaction-response", "history")

RULES: Mapping[str, Sequence[tuple[Callable[[Document], bool], str]]] = {
    "Attachment": [(_needs("data", "contentType"), "att-1: data needs a contentType")],
    "AuditEvent.entity": [(lambda value: not {"name", "query"} <= value.keys(), "sev-1: either a name or a query")],
    "Bundle": [
        (lambda value: "total" not in value or value.get("type") in ("searchset", "history"), "bdl-1: no total here"),
        (
            lambda value: value.get("type") == "searchset" or not any("search" in entry for entry in _entries(value)),
            "bdl-2: entry.search is for a searchset",
        ),
        (_has_in_every_entry("request", _REQUESTS), "bdl-3: entry.request is for batch, transaction and history"),
        (_has_in_every_entry("response", _RESPONSES), "bdl-4: entry.response is for responses and history"),
        (_full_urls_differ, "bdl-7: a fullUrl stands once in a Bundle"),
    ],
    "Bundle.entry": [
        (_any_of("resource", "request", "response"), "bdl-5: a resource, unless there is a request or response"),
        (lambda value: "/_history/" not in str(value.get("fullUrl")), "bdl-8: no version in a fullUrl"),
    ],
    "Composition.section": [
        (_any_of("text", "entry", "section"), "cmp-1: a section has text, entries or sections"),
        (lambda value: not {"emptyReason", "entry"} <= value.keys(), "cmp-2: no emptyReason with entries"),
    ],
    "ContactPoint": [(_needs("value", "system"), "cpt-2: a value needs a system")],
    "Extension": [
        (
            lambda value: (_count(value, "value", "_value") > 0) is not ("extension" in value),
            "ext-1: either extensions or a value, not both",
        )
    ],
    "Observation": [
        (
            lambda value: "dataAbsentReason" not in value or not _count(value, "value", "_value"),
            "obs-6: no dataAbsentReason with a value",
        )
    ],
    "Parameters.parameter": [
        (
            lambda value: bool(_count(value, "value", "_value")) + ("resource" in value) + ("part" in value) == 1,
            "inv-1: one of value, resource and part",
        )
    ],
    "Patient.contact": [
        (_any_of("name", "telecom", "address", "organization"), "pat-1: a contact's details or an organization")
    ],
    "Period": [(_is_in_order, "per-1: the start is not after the end")],
    "Quantity": [(_needs("code", "system"), "qty-3: a code needs its system")],
    "ServiceRequest": [(_needs("orderDetail", "code"), "prr-1: orderDetail only with a code")],
}
