"""The audit chain, computed again from its rows."""

from __future__ import annotations

from collections.abc import Iterator

from tests.torture.tables import Tables


def check_chain(tables: Tables) -> Iterator[str]:
    """A line for each gap, each link that doesn't hold and each draft without its one note."""
    expected = tables["audit_event"][0]["seq"] if tables["audit_event"] else 1
    prev: bytes | None = None
    for row in tables["audit_event"]:
        if row["seq"] != expected:
            yield f"event {expected} is missing"
        if prev is not None and bytes(row["prev"]) != prev:
            yield f"event {row['seq']} doesn't follow from the one before"
        prev, expected = bytes(row["hash"]), row["seq"] + 1
