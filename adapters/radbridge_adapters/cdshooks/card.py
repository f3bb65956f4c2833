"""A draft as a card: CDS Hooks 2.0, "Card Attributes" and "Suggestion"."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from radbridge.draft import DraftImpression, Flag, Severity
from radbridge_adapters.resources.codes import CANONICAL

LABEL = "RadBridge"
TOPIC = {"system": f"{CANONICAL}/card-topic", "code": "draft-impression", "display": "Draft Impression"}
OVERRIDE_REASONS = tuple(
    {"system": f"{CANONICAL}/override-reason", "code": code, "display": display}
    for code, display in (
        ("wrong", "It says something that is not so"),
        ("incomplete", "Something important is missing"),
        ("style", "I would put it otherwise"),
        ("not-needed", "I need no draft here"),
    )
)
_CARDS = uuid.UUID("6a3f8d5e-4f0b-5c57-9a57-2f3c9e5b7d10")
"""The namespace of cards: one draft, one card, however often it is asked for."""
_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")
_INDICATORS = {Severity.CRITICAL: "critical", Severity.WARNING: "warning"}


def card_id(draft: DraftImpression) -> str:
    """The `uuid` of the draft's card."""
    return str(uuid.uuid5(_CARDS, draft.id))


def make_card(draft: DraftImpression, observation: Mapping[str, Any]) -> dict[str, Any]:
    """The card: the text to read, and `observation`, an unverified one, as the suggestion."""
    resource = {name: value for name, value in observation.items() if name != "id"}  # the client gives it one
    action = {"type": "create", "description": "Add the draft impression, unverified", "resource": resource}
    suggestion = {
        "label": "Insert the draft impression",
        "uuid": str(uuid.uuid5(_CARDS, f"{draft.id}/insert")),
        "actions": [action],
    }
    return {
        "uuid": card_id(draft),
        "summary": _summarize(draft.flags),
        "indicator": next((word for level, word in _INDICATORS.items() if _count(draft.flags, level)), "info"),
        "source": {"label": LABEL, "topic": TOPIC},
        "detail": _detail(draft),
        "suggestions": [suggestion],
        "selectionBehavior": "at-most-one",
        "overrideReasons": [dict(reason) for reason in OVERRIDE_REASONS],
    }


def escape(text: str) -> str:
    """Report text as GitHub-flavoured Markdown that shows just that text, line by line."""
    return "  \n".join(_MARKUP.sub(r"\\\1", line.strip()) for line in text.splitlines())


def _summarize(flags: tuple[Flag, ...]) -> str:
    counts = [
        (_count(flags, level), word) for level, word in ((Severity.CRITICAL, "critical"), (Severity.WARNING, "warning"))
    ]
    told = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"Draft impression, unverified ({told})" if told else "Draft impression, unverified"


def _detail(draft: DraftImpression) -> str:
    flags = [f"- **{flag.severity}** {escape(flag.kind)}: {escape(flag.message)}" for flag in draft.flags]
    origin = f"*Unverified. Written by a machine ({escape(draft.lora)}) from the findings as they are now.*"
    return "\n\n".join(part for part in (escape(draft.text), "\n".join(flags), origin) if part)


def _count(flags: tuple[Flag, ...], severity: Severity) -> int:
    return sum(flag.severity is severity for flag in flags)
