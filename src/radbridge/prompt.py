"""The one prompt, for serving and for training alike (rule 7). A LoRA records the version it was trained with.

The text is plain and the sections are in a fixed order, so that a prefix cache shares what two drafts have in common.
The coarse text, when there is one, stands last: a small model copies best from what is nearest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from radbridge.imaging import tell_comparison

PROMPT_VERSION = "p1"
"""The version of the plain template, which the embedded model was trained with."""


class Template(StrEnum):
    """What stands around the sections: what the base model was tuned to."""

    PLAIN = "plain"
    """The sections alone, for a model that was trained on them."""
    ALPACA = "alpaca"
    """Instruction, input, response: for instruction-tuned bases (Llama 3, Mistral, FLAN-T5)."""

    @property
    def prompt_version(self) -> str:
        """What drafts carry and LoRAs are bound to."""
        return PROMPT_VERSION if self is Template.PLAIN else f"{PROMPT_VERSION}-{self}"


_ALPACA = """\
Below is an instruction that describes a task, paired with an input that provides further context. \
Write a response that appropriately completes the request.

### Instruction:
Write the Impression of this radiology report. State only what the findings support.

### Input:
{input}

### Response:
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptInput:
    """What a prompt is built from."""

    findings: str = field(repr=False)
    indication: str = field(default="", repr=False)
    comparison: str = field(default="", repr=False)
    prior: str = field(default="", repr=False)
    """The impression of the report that it is compared with."""
    modality: str = ""
    sex: str = ""
    age: int | None = None
    coarse: str = field(default="", repr=False)
    """The preliminary impression to rewrite; empty for the whole-model path."""


def build_prompt(case: PromptInput, template: Template = Template.PLAIN) -> str:
    r"""The prompt up to where the impression begins. A plain one ends in `Impression:\\n`."""
    who = " ".join(w for w in (case.modality, case.sex, "" if case.age is None else str(case.age)) if w)
    sections = (
        ("Study", who),
        ("Clinical information", case.indication),
        ("Comparison", tell_comparison(case.comparison, case.prior)),
        ("Findings", case.findings),
        ("Preliminary", case.coarse),
    )
    lines = [f"{name}: {' '.join(text.split())}" for name, text in sections if text.strip()]
    if template is Template.ALPACA:
        return _ALPACA.format(input="\n".join(lines))
    return "\n".join([*lines, "Impression:\n"])
