"""What stands around the sections of a prompt: what the base model was tuned to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from radbridge.prompt.case import Task

PROMPT_VERSION = "p2"
"""The version of the plain template. What it adds to `p1` are examples, style and the task `expand`: without them the
two are the same, byte for byte, so weights trained with `p1` are served on."""


class Template(StrEnum):
    """Named in a model's configuration and in a training recipe."""

    PLAIN = "plain"
    """The sections alone, for a model that was trained on them."""
    ALPACA = "alpaca"
    """Instruction, input, response: for instruction-tuned bases (Llama 3, Mistral)."""
    CHATRADIO = "chatradio"
    """A description of who answers, an instruction, the input: for bases tuned to conversation."""
    T5 = "t5"
    """The name of the task and the sections on one line: for encoder-decoders (FLAN-T5)."""

    @property
    def prompt_version(self) -> str:
        """What drafts carry and LoRAs are bound to."""
        return PROMPT_VERSION if self is Template.PLAIN else f"{PROMPT_VERSION}-{self}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """How one template puts one task."""

    around: str
    """With `{input}`, the sections, and where the template has one `{role}`, who answers."""
    between: str = "\n"
    """Stands between sections."""
    closing: tuple[str, ...] = ()
    """What follows the last section."""
    heading: tuple[str, ...] = ("Examples of how this radiologist writes:",)
    """Stands before examples."""


_WRITE = "Write the Impression of this radiology report. State only what the findings support."
_EXPAND = (
    "Write the detailed Findings of this radiology report from its impression or key phrases. "
    "Add no finding that they don't name."
)

_ALPACA = """\
Below is an instruction that describes a task, paired with an input that provides further context. \
Write a response that appropriately completes the request.

### Instruction:
{task}

### Input:
{{input}}

### Response:
"""

_CHATRADIO = """\
{{role}}

Instruction: {task}

Input:
{{input}}

{answer}:
"""

TEMPLATES: dict[Template, dict[Task, Frame]] = {
    Template.PLAIN: {
        Task.IMPRESSION: Frame(around="{input}", closing=("Impression:\n",), heading=()),
        Task.EXPAND: Frame(around="{input}", closing=("Findings:\n",), heading=()),
    },
    Template.ALPACA: {
        Task.IMPRESSION: Frame(around=_ALPACA.format(task=_WRITE)),
        Task.EXPAND: Frame(around=_ALPACA.format(task=_EXPAND)),
    },
    Template.CHATRADIO: {
        Task.IMPRESSION: Frame(around=_CHATRADIO.format(task=_WRITE, answer="Impression")),
        Task.EXPAND: Frame(around=_CHATRADIO.format(task=_EXPAND, answer="Findings")),
    },
    Template.T5: {
        Task.IMPRESSION: Frame(around="summarize radiology findings: {input}", between=" "),
        Task.EXPAND: Frame(around="expand radiology impression: {input}", between=" "),
    },
}

MODALITIES = {
    "CR": "X-ray",
    "DX": "X-ray",
    "MG": "mammography",
    "MR": "MRI",
    "NM": "nuclear medicine",
    "PT": "PET",
    "RF": "fluoroscopy",
    "US": "ultrasound",
    "XA": "angiography",
}
"""How a radiologist calls what DICOM abbreviates; any other one goes by its code."""
