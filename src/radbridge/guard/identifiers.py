"""Identifiers of a person in a draft: what identifies anybody, and what the case knows of its own patient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from radbridge import deidentify
from radbridge.case import Patient
from radbridge.draft import Flag, FlagKind, Section, Severity, Span

MAX_READ_CHARS = 12_000
"""What is read of a draft: several times the longest impression."""
_SHORTEST_NUMBER = 5
"""Characters of a number that counts by itself: four digits are a year or a size more often than a record."""
_ANYBODY = {
    deidentify.NAME: "the name of a person",
    deidentify.ID: "a record, accession or social security number",
    deidentify.DATE: "a date of birth",
}
_PATIENT = {
    deidentify.NAME: "the patient's name",
    deidentify.ID: "a number of the patient or of the case",
    deidentify.DATE: "the patient's date of birth",
}


def check_identifiers(draft: str, *, patient: Patient = Patient(), numbers: Iterable[str] = ()) -> tuple[Flag, ...]:
    """One flag for each kind of identifier in `draft`, with every place; the messages quote none.

    Without a `patient` only patterns are looked for: a number after `MRN`, a name after `Ms.`, a date after `born`.
    With one also their own name, numbers and date of birth, wherever they stand. `numbers` are the case's: accession,
    placer, filler. A colleague's name is no identifier: a report says with whom it was discussed.
    """
    text = draft[:MAX_READ_CHARS]
    anybody = deidentify.find_anybody(text)
    known = [
        span
        for span in deidentify.find_patient(text, patient=patient, numbers=numbers)
        if not any(span.start < other.end and other.start < span.end for other in anybody)
        and (span.instead != deidentify.ID or span.end - span.start >= _SHORTEST_NUMBER)
    ]
    return (*_flags(anybody, _ANYBODY), *_flags(known, _PATIENT))


def _flags(found: Sequence[deidentify.Span], names: dict[str, str]) -> Iterator[Flag]:
    for placeholder, name in names.items():
        spans = tuple(Span(section=Section.DRAFT, start=s.start, end=s.end) for s in found if s.instead == placeholder)
        if spans:
            message = f"the draft holds {name}: strike it out before signing"
            yield Flag(kind=FlagKind.IDENTIFIER, message=message, severity=Severity.CRITICAL, spans=spans)
