"""The hospital's own report, or order, that a draft belongs beside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.ours import WITHDRAWN, is_ours
from radbridge_adapters.resources.snapshot import Snapshot

Document = Mapping[str, Any]

SEARCHES = (
    ("DiagnosticReport", "identifier"),
    ("DiagnosticReport", "based-on.identifier"),
    ("ServiceRequest", "identifier"),
)
"""Where an accession is looked for. A server that can't do one of these answers it with nothing or an error."""


def escape(text: str) -> str:
    """A value for a search parameter (R4 search.html#escaping)."""
    return "".join(f"\\{c}" if c in "\\,|$" else c for c in text)


def choose(found: Iterable[Document], accession: Document, accessions: Accessions) -> Document | None:
    """Of what these searches found, the newest report of that very accession, else its order; never one of ours."""
    wanted = accessions.read(accession)
    candidates = [one for one in found if not is_ours(one) and one.get("status") not in WITHDRAWN]
    orders = [one for one in candidates if one["resourceType"] == "ServiceRequest"]
    fitting = [one for one in candidates if accessions.find(Snapshot(one, orders)) == wanted]
    reports = [one for one in fitting if one["resourceType"] == "DiagnosticReport"]
    return max(reports or fitting, key=_stored_at, default=None)


def _stored_at(resource: Document) -> str:
    return str(resource.get("meta", {}).get("lastUpdated", ""))
