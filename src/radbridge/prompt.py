"""The one prompt, for serving and for training alike (rule 7). A LoRA records the version it was trained with.

The text is plain and the sections are in a fixed order, so that a prefix cache shares what two drafts have in common.
The coarse text, when there is one, stands last: a small model copies best from what is nearest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PROMPT_VERSION = "p1"


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptInput:
    """What a prompt is built from."""

    findings: str = field(repr=False)
    indication: str = field(default="", repr=False)
    comparison: str = field(default="", repr=False)
    modality: str = ""
    sex: str = ""
    age: int | None = None
    coarse: str = field(default="", repr=False)
    """The preliminary impression to rewrite; empty for the whole-model path."""


def build_prompt(case: PromptInput) -> str:
    r"""The prompt up to where the impression begins. Ends in `Impression:\\n`."""
    who = " ".join(w for w in (case.modality, case.sex, "" if case.age is None else str(case.age)) if w)
    sections = (
        ("Study", who),
        ("Clinical information", case.indication),
        ("Comparison", case.comparison),
        ("Findings", case.findings),
        ("Preliminary", case.coarse),
    )
    lines = [f"{name}: {' '.join(text.split())}" for name, text in sections if text.strip()]
    return "\n".join([*lines, "Impression:\n"])
