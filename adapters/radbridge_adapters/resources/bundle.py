"""A Bundle's entries, and the temporary names by which they refer to one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from radbridge_adapters.resources.outcome import Issue, Issues
from radbridge_adapters.resources.references import find_references

URN = "urn:uuid:"


def iter_entries(bundle: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each entry with its FHIRPath."""
    for index, entry in enumerate(bundle.get("entry", ())):
        yield f"Bundle.entry[{index}]", entry


def resolve_urns(bundle: Mapping[str, Any], named: Mapping[str, str]) -> None:
    """Put `Type/id` for each fullUrl of `named` into every Reference of the entries' resources, in place.

    Raises Issues for each `urn:uuid:` that no entry has. An Identifier's value is no reference and stays.
    """
    dangling: list[Issue] = []
    for path, entry in iter_entries(bundle):
        for place, reference in find_references(entry.get("resource"), f"{path}.resource"):
            text = reference["reference"]
            if text in named:
                reference["reference"] = named[text]
            elif text.startswith(URN):
                dangling.append(
                    Issue(code="value", expression=f"{place}.reference", diagnostics="no entry has this fullUrl")
                )
    if dangling:
        raise Issues(dangling)
