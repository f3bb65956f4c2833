"""A draft impression, and where it came from. A draft is never anything but unverified: rule 2 of the design."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import AwareDatetime

from radbridge.case import CaseKey


class Severity(StrEnum):
    """How much a flag weighs."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Stage(StrEnum):
    """Which stage wrote the text."""

    FINE = "fine"
    """The signer's LoRA, over the coarse text."""
    COARSE = "coarse"
    """The extractive stage: the fine text was refused or not to be had."""
    WHOLE = "whole"
    """One LoRA from findings to impression, as 3-8 B models do it."""
    RETRIEVED = "retrieved"
    """Copied from another report of the site whose findings are alike: held to this case like any other text."""


class FlagKind(StrEnum):
    """What a flag is about. A flag of a newer model server may have a kind that isn't here."""

    LATERALITY = "laterality"
    NEGATION = "negation"
    """Present in one text, absent in the other."""
    CERTAINTY = "certainty"
    """Possible in the findings, definite in the draft."""
    MEASUREMENT = "measurement"
    SEX_OR_AGE = "sex_or_age"
    UNSUPPORTED = "unsupported"
    """The findings don't hold it."""
    OMITTED = "omitted"
    """Important in the findings, missing in the draft."""
    COMPARISON = "comparison"
    """Better for worse, or a change without a prior study."""
    SITE = "site"
    """Another lobe, segment, level or organ."""
    COUNT = "count"
    DEVICE = "device"
    """A tube, line or implant."""
    CRITICAL = "critical"
    """A finding that somebody has to be told of at once: no error."""
    CONTRADICTION = "contradiction"
    """The order and the images can't be of one patient, or of one side."""
    IDENTIFIER = "identifier"
    """A name, a record number or a date of birth in the draft."""
    INSTRUCTION = "instruction"
    """An order to the writer, or markup."""
    CONTEXT_CUT = "context_cut"
    """Part of the findings was not read."""
    LEFT_OUT = "left_out"
    """A statement that the guard objected to isn't in the draft any more."""


class Section(StrEnum):
    """The texts that a span may lie in."""

    DRAFT = "draft"
    FINDINGS = "findings"
    INDICATION = "indication"
    COMPARISON = "comparison"


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Characters `start` to `end` of one text."""

    section: str
    """A `Section`, or a word of a newer server's."""
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """Something a reader of the draft should know. `kind` is a fixed word; `message` may quote the report."""

    kind: str
    """A `FlagKind`, or a word of a newer server's."""
    message: str = field(repr=False)
    severity: Severity = Severity.WARNING
    spans: tuple[Span, ...] = ()
    """What it is about: in the draft first, then in the texts that it was held to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftImpression:
    """A drafted impression with its provenance. It holds no status: there is only one it could have."""

    id: str
    text: str = field(repr=False)
    findings_digest: str
    signer: str
    """The radiologist whose style was asked for."""
    lora: str
    """`rad/<id>@v<seq>-<digest12>`, a persona's or the site's LoRA version, or `base`."""
    model: str
    base_digest: str
    prompt_version: str
    stage: Stage
    fallback: tuple[str, ...] = ()
    """Why something better was not used, in order."""
    flags: tuple[Flag, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)
    strategy: str = ""
    """How the model server went about it: `single`, `coarse_to_fine`, `coarse`; empty from an older server."""
    coarse_lora: str = ""
    """Who wrote the coarse text: a LoRA version, `base`, `retrieved` where it was copied, or `none`."""
    memory: str = ""
    """The state of the style memory that its examples were chosen from: `m1/812`; empty when it wasn't asked."""
    examples: tuple[str, ...] = ()
    """The signed reports that it was written beside, by their names in the style memory: `m17`."""
    asked: str = ""
    """The LoRA version, or `base`, that was asked to write, whatever became of its text; empty where none was, or
    nobody told (before 0.8)."""
    made_at: AwareDatetime


class DraftState(StrEnum):
    """What became of a draft."""

    CURRENT = "current"
    STALE = "stale"
    """Made for a text that had changed meanwhile: never delivered."""
    WITHDRAWN = "withdrawn"
    SIGNED = "signed"
    """Its report was signed."""
    BLOCKED = "blocked"
    """The guard kept it back: never delivered; `reason` and its flags say why."""
    NONE = "none"
    """No draft could be made; `reason` says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredDraft:
    """A draft and what became of it."""

    key: CaseKey
    draft: DraftImpression
    state: DraftState
    reason: str
