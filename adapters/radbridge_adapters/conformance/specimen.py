"""Invented cases and drafts: every check has an accession of its own, so that none sees another's."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime

from radbridge.case import Case, CaseKey
from radbridge.draft import DraftImpression, Flag, Section, Severity, Span
from radbridge_adapters.hl7v2.compose import specimen

FIRST = "Stable 4 mm nodule in the right upper lobe.\nNo acute disease."
SECOND = "Stable 5 mm nodule in the right upper lobe.\nNo acute disease."


def new_case() -> Case:
    """A case that nobody has heard of."""
    case, _ = specimen()
    accession = f"CONF{secrets.token_hex(5).upper()}"
    order = replace(case.order, placer=f"P{accession}", filler=accession)
    return replace(case, key=CaseKey(accession=accession), order=order)


def new_draft(text: str = FIRST) -> DraftImpression:
    """A draft with a flag that points into it."""
    _, draft = specimen()
    span = Span(section=Section.DRAFT, start=7, end=11)
    flag = Flag(kind="measurement", message="4 mm here, 5 mm in the findings", severity=Severity.WARNING, spans=(span,))
    return replace(
        draft,
        id=f"D{secrets.token_hex(8)}",
        text=text,
        flags=(flag,),
        made_at=datetime.now(UTC),
        lora="site/conformance",
    )
