"""The HTTP contract between whoever wants a draft and the model server: `POST /v1/drafts`, version 1.

Both sides build and read these values, so the contract is data, not a shared service class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import TypeAdapter

from radbridge.draft import Flag, Stage

CONTRACT_VERSION = 1
OWNER_HEADER = "serve-multiplexed-model-id"
"""Whose LoRA will draft (`rad/<id>`, as `registry.owner_of` makes it): a cluster routes by it. May be left out.

With hyphens: nginx drops a header whose name has underscores.
"""


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
    """`coarse`, `queue`, `engine`, `guard`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """An error answer (HTTP 4xx, 5xx), after RFC 9457's `type`, `title`, `detail`."""

    type: str
    title: str
    detail: str = ""


REQUEST = TypeAdapter(DraftRequest)
RESPONSE = TypeAdapter(DraftResponse)
PREFETCH = TypeAdapter(PrefetchRequest)
