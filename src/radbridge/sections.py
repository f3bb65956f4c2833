"""Sections of a report in plain text: headings in any common order and spelling to a `ReportText`.

A heading stands at the beginning of a line, or after the end of a sentence where a report was flattened into one line.
The word alone is none: "the impression of the prior study" stays text. What no heading claims is findings.
"""

from __future__ import annotations

import re
from dataclasses import fields

from radbridge.case import ReportText

HEADINGS = {
    "findings": (
        "findings",
        "finding",
        "radiological findings",
        "imaging findings",
        "technique and findings",
        "procedure and findings",
        "findings and technique",
        "report",
        "result",
        "results",
        "observations",
        "description",
        "discussion",
        "addendum",
    ),
    "impression": (
        "impression",
        "impressions",
        "final impression",
        "overall impression",
        "diagnostic impression",
        "radiological impression",
        "preliminary impression",
        "impression and plan",
        "impression and recommendation",
        "impression and recommendations",
        "conclusion",
        "conclusions",
        "opinion",
        "interpretation",
        "assessment",
        "summary",
    ),
    "comparison": (
        "comparison",
        "comparisons",
        "comparison study",
        "comparison studies",
        "comparison exam",
        "comparison exams",
        "prior",
        "priors",
        "prior study",
        "prior studies",
        "prior exams",
        "previous study",
        "previous studies",
        "compared with",
        "compared to",
    ),
    "technique": (
        "technique",
        "techniques",
        "technical factors",
        "protocol",
        "method",
        "procedure",
        "procedure description",
        "exam",
        "exam type",
        "examination",
        "study",
        "type of exam",
        "contrast",
    ),
    "indication": (
        "indication",
        "indications",
        "clinical indication",
        "clinical indications",
        "indication for study",
        "history",
        "clinical history",
        "patient history",
        "history and indication",
        "clinical information",
        "clinical info",
        "clinical data",
        "clinical details",
        "clinical question",
        "clinical statement",
        "clinical",
        "reason",
        "reason for exam",
        "reason for examination",
        "reason for study",
        "reason for the study",
        "reason for the exam",
        "reason for visit",
        "signs and symptoms",
    ),
    "recommendation": (
        "recommendation",
        "recommendations",
        "suggestion",
        "suggestions",
        "advice",
        "plan",
        "follow up",
    ),
    "": (
        "electronically signed by",
        "electronically signed",
        "signed by",
        "signed",
        "dictated by",
        "dictated",
        "transcribed by",
        "transcribed",
        "verified by",
        "approved by",
        "reviewed by",
        "interpreted by",
        "read by",
        "attending",
        "attending radiologist",
        "resident",
        "radiologist",
        "end of report",
        "mammography information",
        "disclaimer",
        "cc",
        "patient",
        "patient name",
        "name",
        "mrn",
        "accession",
        "accession number",
        "date of exam",
        "date of birth",
        "dob",
    ),
}
"""Section -> its headings in lower case, punctuation as one space. Under the empty name: what is no report text."""

_SECTION = {heading: section for section, headings in HEADINGS.items() for heading in headings}
_SIGNATURES = tuple(h for h in HEADINGS[""] if h.endswith(" by"))

_MODALITY = r"(?:CT|CTA|MRI?|MRA|US|PET|X-?ray|chest|ultrasound)"


def _alternatives() -> str:
    """Every heading as a pattern, longest first; "and" may be written `/` or `&`, and "follow up" with a hyphen."""
    words = sorted(_SECTION, key=len, reverse=True)
    joined = "|".join(re.escape(w).replace(r"\ and\ ", r"\s*(?:and|/|&)\s*").replace(r"\ ", r"[ \t_-]+") for w in words)
    return rf"(?:{_MODALITY}[ \t]+)?(?:{joined})(?:\(s\))?"


_HEADING = _alternatives()
_AT_LINE = re.compile(
    rf"^[ \t]*(?:[*#_=>-]{{1,8}}[ \t]*|\d{{1,2}}[.)][ \t]+)?(?P<name>{_HEADING})[ \t]*[*_]*[ \t]*"
    r"(?P<mark>::?[*_]*|[-\u2013\u2014]+(?=\s|$)|$|[ \t](?=(?-i:[A-Z0-9])))",
    re.IGNORECASE | re.MULTILINE,
)
_IN_LINE = re.compile(
    rf"(?:(?<=[.!?;:])|(?<=[.!?;:]\))|(?<=[ \t][ \t]))[ \t]*(?=[A-Z])(?P<name>(?i:{_HEADING}))[ \t]*(?P<mark>:)"
)
_SIGNATURE = re.compile(
    rf"(?:^[ \t]*|(?<=[.!?])[ \t]+)(?:{'|'.join(map(re.escape, _SIGNATURES))})\b.*", re.IGNORECASE | re.MULTILINE
)
_CAPITAL_RUN = re.compile(r"[A-Z][A-Z /&()-]+")


def section_of(heading: str) -> str | None:
    """The `ReportText` field a heading stands for; empty for what is no report text, None for no heading."""
    name = re.sub(r"\(s\)$", "", heading.strip().lower())
    name = re.sub(r"\s*[/&]\s*", " and ", name)
    name = re.sub(r"[\s_-]+", " ", name.strip(" \t:*#_-"))
    if name not in _SECTION:
        name = re.sub(rf"^{_MODALITY} ", "", name, flags=re.IGNORECASE)
    return _SECTION.get(name)


def read_sections(text: str) -> ReportText:
    """`text` cut at its headings.

    What stands before the first heading is findings where there are none else, and a title otherwise. Where nothing is
    under a findings heading, the paragraphs that follow the first one of the last section before the impression are the
    findings: templates often give them no heading.
    """
    preamble, pieces = _cut(normalize(text))
    parts: dict[str, list[str]] = {}
    for section, piece in pieces:
        if section:
            parts.setdefault(section, []).append(piece)
    has_findings = "findings" in parts or _claim_unheaded(parts, [section for section, _ in pieces if section])
    if preamble:
        parts.setdefault("technique" if has_findings else "findings", []).insert(0, preamble)
    return ReportText(**{name: "\n".join(piece for piece in texts if piece) for name, texts in parts.items()})


def normalize(text: str) -> str:
    """Lines end in a line feed: no trailing blanks, no wide gaps, one blank line at most in a row."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ").replace("\t", " ")
    text = re.sub(r" {3,}", "  ", text)
    text = re.sub(r" {1,2}$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def merge_sections(one: ReportText, other: ReportText) -> ReportText:
    """The text of both, told once where both tell the same: some senders send a report whole and by sections."""
    return ReportText(**{f.name: _join(getattr(one, f.name), getattr(other, f.name)) for f in fields(ReportText)})


def _join(one: str, other: str) -> str:
    if " ".join(one.split()) in " ".join(other.split()):
        return other
    return one if " ".join(other.split()) in " ".join(one.split()) else f"{one}\n{other}"


def strip_heading(text: str, section: str) -> str:
    """`text` without its own heading: an impression that begins "IMPRESSION:"."""
    match = _AT_LINE.match(text)
    return (
        text[match.end() :].strip() if match and _counts(match, text) and section_of(match["name"]) == section else text
    )


def _cut(text: str) -> tuple[str, list[tuple[str, str]]]:
    found = [(m.start(), m.end(), section_of(m["name"]) or "") for m in _AT_LINE.finditer(text) if _counts(m, text)]
    taken = {end for _, end, _ in found}
    found += [
        (m.start(), m.end(), section_of(m["name"]) or "") for m in _IN_LINE.finditer(text) if m.end() not in taken
    ]
    found += [(m.start(), m.end(), "") for m in _SIGNATURE.finditer(text)]
    found.sort()
    if not found:
        return text, []
    ends = [start for start, _, _ in found[1:]] + [len(text)]
    pieces = [(section, text[end:stop].strip()) for (_, end, section), stop in zip(found, ends, strict=True)]
    return text[: found[0][0]].strip(), pieces


def _counts(match: re.Match[str], text: str) -> bool:
    """Whether a heading word at the beginning of a line is meant as a heading."""
    name, mark = match["name"], match["mark"]
    if mark.startswith(":"):
        return True
    if not mark or mark.strip():
        return name[0].isupper()
    rest = text[match.end() :].split("\n", 1)[0]
    return bool(_CAPITAL_RUN.fullmatch(name)) and rest != rest.upper()


def _claim_unheaded(parts: dict[str, list[str]], order: list[str]) -> bool:
    """Move paragraphs that no heading claims to the findings; whether there were any."""
    before = order[: order.index("impression")] if "impression" in order else order
    for section in reversed(before):
        head, blank, rest = parts[section][-1].partition("\n\n")
        if blank and section != "recommendation":
            parts[section][-1] = head
            parts["findings"] = [rest.strip()]
            return True
    return False
