"""The text of a report, wherever FHIR lets it stand: Observations, a Composition, an attached text, the conclusion."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.message import Message
from functools import reduce
from typing import Any

import structlog

from radbridge.case import ReportText
from radbridge.sections import merge_sections, normalize, read_sections, section_of, strip_heading
from radbridge_adapters.resources.codes import LOINC, REPORT, SECTIONS
from radbridge_adapters.resources.narrative import text_of
from radbridge_adapters.resources.ours import WITHDRAWN, is_machine_text
from radbridge_adapters.resources.snapshot import Resource, Snapshot

log = structlog.get_logger(__name__)

_BODY = "body"
"""Text that is to be cut at its headings."""


def read_report(snapshot: Snapshot) -> ReportText:
    """The sections of the report that is the focus. What a machine wrote and nobody verified is no part of it."""
    report = snapshot.focus
    observations = snapshot.find_all(report.get("result"), report)
    compositions = snapshot.all("Composition")
    parts = [
        *read_observations(observations),
        *(part for one in compositions if _counts(one) for part in _read_composition(one, snapshot)),
        *_read_forms(report.get("presentedForm", ())),
        *_read_conclusion(report.get("conclusion", "")),
    ]
    return reduce(merge_sections, parts, ReportText())


def read_observations(observations: Iterable[Resource]) -> list[ReportText]:
    """What each narrative Observation says; a measurement, or one of no section, is no text of the report."""
    return [part for one in observations if _counts(one) for part in _read_observation(one)]


def _counts(resource: Resource) -> bool:
    return resource.get("status") not in WITHDRAWN and not is_machine_text(resource)


def _read_observation(observation: Resource) -> Iterator[ReportText]:
    for one in (observation, *observation.get("component", ())):
        section, text = find_section(one.get("code")), _value_of(one)
        if section and text:
            yield _cut(section, text)


def _value_of(observation: Mapping[str, Any]) -> str:
    concept = observation.get("valueCodeableConcept", {})
    displays = (coding.get("display", "") for coding in concept.get("coding", ()))
    return str(observation.get("valueString") or concept.get("text") or next(displays, ""))


def find_section(concept: Mapping[str, Any] | None, title: str = "") -> str:
    """The field of `ReportText` that a code, its display or a title names; `body` for a whole report, else empty."""
    codings: Sequence[Mapping[str, Any]] = (concept or {}).get("coding", ())
    for coding in codings:
        if coding.get("system", LOINC) == LOINC:
            if coding.get("code") in SECTIONS:
                return SECTIONS[coding["code"]]
            if coding.get("code") == REPORT.value:
                return _BODY
    names = [title, (concept or {}).get("text", ""), *(coding.get("display", "") for coding in codings)]
    return next((found for name in names if name and (found := section_of(name))), "")


def _read_composition(composition: Resource, snapshot: Snapshot) -> Iterator[ReportText]:
    waiting = list(reversed(composition.get("section", ())))
    while waiting:
        section = waiting.pop()
        name = find_section(section.get("code"), section.get("title", ""))
        text = text_of(section.get("text", {}).get("div", ""))
        if name and text:
            yield _cut(name, text)
        yield from read_observations(
            one for one in snapshot.find_all(section.get("entry"), composition) if one["resourceType"] == "Observation"
        )
        waiting += reversed(section.get("section", ()))


def _read_forms(attachments: Iterable[Mapping[str, Any]]) -> Iterator[ReportText]:
    for attachment in attachments:
        header = Message()
        header["Content-Type"] = attachment.get("contentType", "")
        if header.get_content_type() == "text/plain" and "data" in attachment:
            text = _decode(attachment["data"], header.get_content_charset("utf-8"))
            yield read_sections(text)
        else:
            log.info("document_ignored", value_type=header.get_content_type())


def _decode(data: str, charset: str) -> str:
    try:
        raw = base64.b64decode(data)
        return raw.decode(charset)
    except (binascii.Error, LookupError, UnicodeDecodeError):
        log.warning("charset_not_as_declared", code="replaced")
        return base64.b64decode(data + "==").decode("utf-8", "replace")


def _read_conclusion(text: str) -> list[ReportText]:
    """The impression, unless its own headings say that it is a whole report."""
    if not text.strip():
        return []
    cut = read_sections(text)
    has_headings = cut != ReportText(findings=normalize(text))
    return [cut if has_headings else ReportText(impression=normalize(text))]


def _cut(section: str, text: str) -> ReportText:
    if section == _BODY:
        return read_sections(text)
    stripped = strip_heading(normalize(text), section)
    return read_sections(stripped) if section == "findings" else ReportText(**{section: stripped})
