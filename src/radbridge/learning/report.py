"""What training knows of one signed report: a line of `reports.jsonl`, whatever the strategy that it is used for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import TypeAdapter


class Use(StrEnum):
    """What a report may teach."""

    PREFERENCE = "preference"
    """What was signed is better than what was drafted."""
    SFT = "sft"
    """What was signed is how this radiologist writes; of the draft nothing follows."""
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingReport:
    """One signed report and what became of its draft. De-identified: no date, no accession, nobody's name."""

    id: str
    """The case under the site's secret: the same in every run, and nobody can tell which accession it is."""
    order: int
    """Its number in the style memory: reports were signed in this order. Times stay in the journal."""
    radiologist: str
    patient: str
    """The patient under the site's secret: for splitting, and for nothing else. Empty: nobody told who it is."""
    findings: str = field(repr=False)
    signed: str = field(repr=False)
    indication: str = field(default="", repr=False)
    comparison: str = field(default="", repr=False)
    prior: str = field(default="", repr=False)
    """What the report that it was compared with concluded."""
    modality: str = ""
    sex: str = ""
    age: int | None = None
    """Whole years; who is older than 89 is 90."""
    draft: str = field(default="", repr=False)
    outcome: str = ""
    """An `edit.Outcome`; empty where nothing was drafted."""
    distance: float | None = None
    """Between draft and signed text as they were, 0 to 1."""
    script: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """What turns the draft into the signed text: `keep`, `delete` or `insert`, and a run of words."""
    lora: str = ""
    """Who wrote the draft's text."""
    asked: str = ""
    """Who was asked to write it, whatever became of that text."""
    model: str = ""
    prompt_version: str = ""
    stage: str = ""
    strategy: str = ""
    flags: tuple[str, ...] = ()
    """Kinds of the guard's flags on the draft."""
    corrected: bool = False
    """It was signed more than once; `signed` is the last text."""
    consent: bool = True
    use: Use = Use.SFT
    why: str = ""
    """The rule that took something away from `use`; empty: none did."""
    message: int = 0
    """The journal's number of the message that it was signed with; 0: the message isn't kept any more."""
    draft_id: str = ""


REPORT = TypeAdapter(TrainingReport)
