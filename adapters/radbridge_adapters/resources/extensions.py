"""What a draft says of itself beyond FHIR's elements. `docs/reference/fhir-profiles.md` and `profiles/` define each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from radbridge.draft import DraftImpression, Flag, Span
from radbridge_adapters.resources.codes import CANONICAL
from radbridge_adapters.resources.times import write_instant

Document = dict[str, Any]

_DEFINITIONS = f"{CANONICAL}/StructureDefinition"


def of_draft(draft: DraftImpression, ttl: timedelta) -> list[Document]:
    """Which findings it was made from, until when it may be shown, which stage, LoRA and prompt wrote it."""
    return [
        {"url": url_of("expires"), "valueInstant": write_instant(draft.made_at + ttl)},
        {"url": url_of("stage"), "valueCode": draft.stage.value},
        *_strings(
            {"findings-digest": draft.findings_digest, "lora": draft.lora, "prompt-version": draft.prompt_version}
        ),
    ]


def of_model(draft: DraftImpression) -> list[Document]:
    """Which weights wrote it, beside which signed reports; only in the Provenance."""
    beside = f"{draft.memory}: {' '.join(draft.examples)}" if draft.examples else ""
    return _strings({"model": draft.model, "base-digest": draft.base_digest, "style-memory": beside})


def flag(one: Flag) -> Document:
    """Something a reader should know, with the places it is about."""
    parts = [
        {"url": "kind", "valueCode": _word(one.kind)},
        {"url": "severity", "valueCode": one.severity.value},
        {"url": "message", "valueString": " ".join(one.message.split()) or _word(one.kind)},
        *(_span(span) for span in one.spans),
    ]
    return {"url": url_of("flag"), "extension": parts}


def url_of(name: str) -> str:
    """The canonical URL of one of our extensions."""
    return f"{_DEFINITIONS}/{name}"


def read_extension(resource: Mapping[str, Any], name: str) -> str:
    """The text of an extension of ours; empty without one."""
    for one in resource.get("extension", ()):
        if one.get("url") == url_of(name):
            return next((str(value) for key, value in one.items() if key.startswith("value")), "")
    return ""


def _span(span: Span) -> Document:
    return {
        "url": "span",
        "extension": [
            {"url": "section", "valueCode": _word(span.section)},
            {"url": "start", "valueUnsignedInt": span.start},
            {"url": "end", "valueUnsignedInt": span.end},
        ],
    }


def _word(text: str) -> str:
    return "-".join(text.split()) or "unknown"


def _strings(values: Mapping[str, str]) -> list[Document]:
    return [{"url": url_of(name), "valueString": value} for name, value in values.items() if value.strip()]
