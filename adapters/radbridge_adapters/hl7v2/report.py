"""OBX segments to a report's sections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from radbridge.case import ReportText
from radbridge.sections import merge_sections, normalize, read_sections, section_of, strip_heading
from radbridge_adapters.hl7v2.er7 import Segment, Value

log = structlog.get_logger(__name__)

BODY = "body"
"""A whole report, or a part of one, that is to be cut at its headings."""
ADDENDUM = "addendum"

CODES = {
    "18748-4": BODY,
    "59776-5": "findings",
    "18782-3": "findings",
    "121070": "findings",
    "121071": "findings",
    "19005-8": "impression",
    "121072": "impression",
    "121073": "impression",
    "121077": "impression",
    "18834-2": "comparison",
    "55111-9": "technique",
    "11329-0": "indication",
    "18785-6": "indication",
    "55115-0": "indication",
    "18783-1": "recommendation",
    "121075": "recommendation",
    "GDT": BODY,
    "IMP": "impression",
    "REC": "recommendation",
    "ADT": ADDENDUM,
}
"""LOINC, DICOM's DCM codes, and the suffixes of HL7 2.5.1, 7.1.3."""


def _text(segment: Segment) -> str:
    return "\n".join(value.whole() for value in segment.repeats(5))


def _coded(segment: Segment) -> str:
    return "\n".join(_display(value) for value in segment.repeats(5))


def _display(value: Value) -> str:
    return value.text(2) or value.text(9) or value.text(5) or value.text(1)


READERS: dict[str, Callable[[Segment], str]] = {
    "": _text,
    "TX": _text,
    "FT": _text,
    "ST": _text,
    "CE": _coded,
    "CWE": _coded,
    "CF": _coded,
    "CNE": _coded,
}
"""OBX-2 -> how OBX-5 is read as text. Others (ED, RP, NM …) are no text of a report."""

_EMBEDDED = ("ED", "RP")


def is_narrative(observation: Segment) -> bool:
    """Whether an OBX is part of a report's text."""
    kind = observation.text(2)
    if kind in _EMBEDDED:
        log.info("document_ignored", value_type=kind)
    return kind in READERS and _part_of(observation) is not None


def read_report(observations: Sequence[Segment]) -> ReportText:
    """The sections of these OBX, in order; several OBX of one section are lines of it."""
    parts: dict[str, list[str]] = {}
    for observation in observations:
        part = _part_of(observation)
        if part is not None:
            parts.setdefault(part, []).append(READERS[observation.text(2)](observation))
    texts = {part: normalize("\n".join(lines)) for part, lines in parts.items()}
    addendum = texts.pop(ADDENDUM, "")
    report = read_sections(texts.pop(BODY, ""))
    if findings := texts.pop("findings", ""):
        report = merge_sections(report, read_sections(strip_heading(findings, "findings")))
    coded = ReportText(**{part: strip_heading(text, part) for part, text in texts.items()})
    report = merge_sections(report, coded)
    return merge_sections(report, ReportText(findings=f"Addendum: {addendum}")) if addendum else report


def _part_of(observation: Segment) -> str | None:
    """The section an OBX-3 names: by code, by suffix, by its text; a code that says nothing of sections is the body.

    An unknown LOINC code on a plain string (ST) is a measurement, not a report.
    """
    names = observation.repeats(3)
    if not names:
        return BODY
    name = names[0]
    for component in (1, 4):
        for code in reversed(name.subcomponents(component)):
            if code in CODES:
                return CODES[code]
    for component in (2, 5, 1):
        section = section_of(name.text(component))
        if section:
            return section
    measured = observation.text(2) not in ("TX", "FT", "") and name.text(3) in ("LN", "DCM")
    return None if measured else BODY
