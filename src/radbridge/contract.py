"""The HTTP contract between whoever wants a draft and the model server: `POST /v1/drafts`, version 1.

Both sides build and read these values, so the contract is data, not a shared service class.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from radbridge.draft import Flag, Stage
from radbridge.example import MAX_EXAMPLES, StyleExample

OWNER_HEADER = "serve-multiplexed-model-id"
"""Whose LoRA will draft (`rad/<id>`, as `registry.owner_of` makes it): a cluster routes by it. May be left out.

With hyphens: nginx drops a header whose name has underscores.
"""

TaskName = Literal["impression", "expand"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftRequest:
    """One case to draft for. Only `id` and `findings` are required."""

    id: str
    findings: str = field(repr=False)
    indication: str = field(default="", repr=False)
    comparison: str = field(default="", repr=False)
    prior: str = field(default="", repr=False)
    """The impression of the report that it is compared with: told to the model, and never a source for the guard."""
    modality: str = ""
    sex: str = ""
    age: int | None = None
    radiologist: str = ""
    deadline_ms: int | None = None
    """Milliseconds the caller will wait, from the moment the request is received."""
    case: str = field(default="", repr=False)
    """An opaque name of the case: a newer request for the same one ends this with HTTP 409 `superseded`."""
    task: TaskName = "impression"
    """What to write. For `expand`, `findings` holds an impression or key phrases, and the answer is findings."""
    examples: Annotated[tuple[StyleExample, ...], Field(max_length=MAX_EXAMPLES)] = field(default=(), repr=False)
    """Signed reports of this radiologist, the most alike first: how they write, and never a source for the guard."""
    memory: str = ""
    """The state of the style memory that chose them: `m1/812`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrefetchRequest:
    """A radiologist who will soon dictate (`POST /v1/prefetch`): the order or the opened report was seen."""

    radiologist: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PrefetchResponse:
    """Answered at once (202); loading goes on behind it."""

    lora: str
    """The version that will draft; `base` when there is none."""
    resident: bool
    """Whether it is in memory already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftResponse:
    """The draft for one request. `draft` is empty when the findings were."""

    id: str
    draft: str = field(repr=False)
    lora: str
    model: str
    base_digest: str
    prompt_version: str
    stage: Stage
    fallback: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    ms: float
    """Milliseconds in the model server, receipt to answer."""
    timings_ms: dict[str, float] = field(default_factory=dict)
    """`coarse`, `queue`, `engine`, `guard`; `site` where a site LoRA wrote the coarse text."""
    strategy: str = ""
    """`single`, `coarse_to_fine`, `coarse`; empty from a server of before 0.7."""
    coarse_lora: str = ""
    """Who wrote the coarse text: a LoRA version, `base`, `retrieved` where it was copied, or `none`."""
    examples: tuple[str, ...] = ()
    """The ids of the request's examples that the text was written beside; empty when none was used."""
    asked: str = ""
    """The LoRA version, or `base`, that was asked to write, whatever became of its text; empty where none was, or from
    a server of before 0.8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """An error answer (HTTP 4xx, 5xx), after RFC 9457's `type`, `title`, `detail`."""

    type: str
    title: str
    detail: str = ""


REQUEST = TypeAdapter(DraftRequest)
RESPONSE = TypeAdapter(DraftResponse)
PREFETCH = TypeAdapter(PrefetchRequest)
