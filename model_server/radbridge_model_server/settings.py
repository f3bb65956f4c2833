"""The model server's configuration: a YAML (or JSON) file, checked whole before anything starts."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, ValidationInfo, model_validator

from radbridge.config.values import Strategy
from radbridge.errors import ConfigError
from radbridge.prompt import Context, Template
from radbridge.registry import MANIFEST

PACKAGED = Path(str(files("radbridge_model_server"))) / "embedded"
"""The base model and persona LoRAs that come with the package."""

LoraOwner = Annotated[str, StringConstraints(pattern=r"^(persona|site|rad)/[A-Za-z0-9_.%~-]+$")]


Engines = Literal["transformers", "vllm", "openai", "echo"]
Repairing = Literal["off", "drop", "coarse"]
Quantization = Literal["none", "int8", "nf4", "awq", "gptq", "fp8"]
_QUANTIZATIONS: dict[str, frozenset[str]] = {
    "transformers": frozenset({"none", "int8", "nf4"}),
    "vllm": frozenset({"none", "nf4", "awq", "gptq", "fp8"}),
}
"""What each engine can load; what a server elsewhere does is its own matter."""


_UNCHECKED = "the base may be missing"
_SERVING = frozenset(
    {"strategy", "coarse_by", "prompt_template", "max_new_tokens", "site_lora", "expand_lora", "leave_out"}
)
"""What a base's manifest may say of how it is served."""
_FOREIGN: dict[str, Any] = {"persona_loras": None, "site_lora": ""}
"""For a base that isn't the packaged one: the LoRAs that come with the package would only be refused."""


class Section(BaseModel):
    """A table of the file; a key it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Vllm(Section):
    """`engine: vllm` only."""

    max_cpu_loras: int = Field(default=64, ge=1, le=4096)
    """LoRAs kept in the host's memory: at least the radiologists on shift."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    tensor_parallel_size: int = Field(default=1, ge=1, le=64)
    enforce_eager: bool = False
    """True starts faster and runs slower: for tests and small models."""
    args: dict[str, Any] = {}
    """Further arguments of vLLM's engine, by vLLM's own names."""


class OpenAI(Section):
    """`engine: openai` only: a server that the hospital already runs."""

    url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """Its address, without `/v1`."""
    model: str = ""
    """What it calls the base model; empty: the first that it lists."""
    api_key_file: Path | None = None
    load_loras: bool = True
    """Whether it may be told to load LoRAs (`VLLM_ALLOW_RUNTIME_LORA_UPDATING` there); else those it lists serve."""
    loras_seen_at: Path | None = None
    """Where that server sees the folder `loras`; None: at the same path."""


class Lifecycle(Section):
    """How LoRA versions come and go while reports are dictated."""

    canary_share: float = Field(default=0.0, ge=0, le=1)
    """Part of the drafts that a challenger writes in its champion's place."""
    shadow_share: float = Field(default=0.0, ge=0, le=1)
    """Part of the drafts that a challenger writes too, for the counters alone, when the engine is idle."""
    retire_after_s: float = Field(default=900.0, ge=0, le=86400)
    """How long a version that no alias names any more stays in memory after its last draft."""
    wait_share: float = Field(default=0.5, ge=0, le=1)
    """Part of a deadline that a draft waits for its LoRA to load, before the next in line writes."""


class Scale(Section):
    """Replicas of the server on a Ray cluster."""

    min_replicas: int = Field(default=1, ge=1, le=256)
    max_replicas: int = Field(default=1, ge=1, le=256)
    """Above `min_replicas`: Serve adds replicas under load and takes them away again."""
    target_requests: float = Field(default=8.0, gt=0)
    """Requests under way in a replica that Serve aims for when it scales."""
    spread: int = Field(default=2, ge=1, le=64)
    """Replicas that one LoRA may live on, the least busy of them drafts."""
    cpus: float = Field(default=1.0, ge=0)
    gpus: float | None = Field(default=None, ge=0)
    """Of one replica; None: with `device: cuda` 1, for vLLM its `tensor_parallel_size`; else 0."""


class Settings(Section):
    """What the model server runs with. Every key has a default: an empty file serves the packaged model."""

    strategy: Strategy = "coarse_to_fine"
    """`single`: one LoRA from findings to impression, for models of 3 B parameters and more. `coarse_to_fine`: a coarse
    text first, then the signer's LoRA over it. `coarse` never loads a model."""
    coarse_by: Literal["extractive", "site_lora"] = "extractive"
    """`strategy: coarse_to_fine` only. `extractive`: each statement that the findings themselves make is rewritten by
    itself. `site_lora`: the site LoRA drafts from the findings, and the signer's own refines that as a whole."""
    engine: Engines = "transformers"
    """`echo` repeats the preliminary impression: for tests of everything around the engine."""
    base: Path = PACKAGED / "base"
    """Folder of the base model; with `engine: openai` its config and tokenizer are enough."""
    name: str = ""
    """What drafts call the base; empty: the name in its manifest, else the folder's."""
    hub: str = ""
    """Fetched from this place on the model hub into `base` when nothing is there; empty: nothing is ever fetched."""
    base_digest: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """What `radbridge models check` prints; another base doesn't start. Empty: not pinned."""
    prompt_template: Template = Template.PLAIN
    leave_out: tuple[Context, ...] = ()
    """What of a case the model isn't told; the guard reads it all the same."""
    quantization: Quantization = "none"
    context_tokens: int | None = Field(default=None, ge=128, le=1048576)
    """Tokens of prompt and draft together; None: what the base was made for."""
    memory_gib: float = Field(default=0.5, gt=0)
    """What one replica needs, weights, cache and LoRAs; told by `radbridge models check`, enforced by nobody."""
    persona_loras: Path | None = PACKAGED / "loras"
    """Folder of read-only persona LoRAs made for this base, one folder each; None, the default for another base than
    the packaged one: there are none."""
    loras: Path | None = None
    """Folder of the LoRA registry, which wins over the personas; None: those alone."""
    site_lora: LoraOwner | Literal[""] = "persona/succinct"
    """Whose LoRA drafts for a radiologist who has none; empty, the default for another base than the packaged one: the
    base model."""
    expand_lora: LoraOwner | Literal["base", ""] = ""
    """Whose LoRA makes findings of key phrases (`task: expand`); `base`: the base model; empty: nobody does."""
    personas: dict[str, LoraOwner] = {}
    """Radiologist id -> `persona/elaborate`, until there is a LoRA of their own."""
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = Field(default=1, ge=1, le=256)
    """Threads of one matrix product."""
    max_batch: int = Field(default=16, ge=1, le=256)
    max_queue: int = Field(default=256, ge=1, le=4096)
    """Prompts that may wait for a batch; one more is answered with HTTP 429."""
    batch_wait_ms: float = Field(default=3.0, ge=0, le=1000)
    """How long an idle engine waits for company for the first prompt of a batch."""
    max_loras: int = Field(default=16, ge=1, le=512)
    """LoRAs in memory at once."""
    max_rank: int = Field(default=64, ge=1, le=512)
    lora_targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    """Modules that a LoRA for this base may change."""
    lexicon: tuple[Path, ...] = ()
    """The guard's words of this site: files in the form of `radbridge/entities/lexicon/*.toml`."""
    repair: Repairing = "off"
    """For a text that the guard's default policy keeps back. `drop`: without the statements objected to, where the rest
    passes; `coarse`: the coarse text in its place, where that passes."""
    max_new_tokens: int = Field(default=192, ge=8, le=4096)
    deadline_s: float = Field(default=30.0, gt=0, le=600)
    """For a request that states no deadline of its own, and the most that one may state."""
    max_body_kib: int = Field(default=1024, ge=1, le=65536)
    """A larger request is answered with HTTP 413."""
    vllm: Vllm = Vllm()
    openai: OpenAI = OpenAI()
    lifecycle: Lifecycle = Lifecycle()
    scale: Scale = Scale()

    @model_validator(mode="after")
    def _check_folders(self, info: ValidationInfo) -> Self:
        is_needed = self.strategy != "coarse" and self.engine != "echo" and not self.hub and info.context != _UNCHECKED
        if is_needed and not (self.base / "config.json").is_file():
            raise ValueError(f"base: no model in {self.base}; give a model's folder, or set strategy: coarse")
        return self

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        possible = _QUANTIZATIONS.get(self.engine)
        if possible and self.quantization not in possible:
            raise ValueError(f"quantization: the {self.engine} engine takes {', '.join(sorted(possible))}")
        if self.engine == "openai" and not self.openai.url:
            raise ValueError("openai.url: where is the server? Such as http://gpu-host:8000")
        if self.scale.max_replicas < self.scale.min_replicas:
            raise ValueError("scale.max_replicas: is below scale.min_replicas")
        return self


def load_settings(path: Path | None, *, check_base: bool = True) -> Settings:
    """The settings in `path` (None: the defaults). Raises ConfigError with every problem at once.

    What the file doesn't name is as the base's manifest says under `serving`, else the default. `check_base=False`
    reads a file whose base isn't on this machine.
    """
    table: Any = {}
    if path is not None:
        try:
            table = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{path}: can't be read ({type(error).__name__}); see model_server/README.md"]) from None
        except yaml.YAMLError as error:
            raise ConfigError([f"{path}: not YAML: {' '.join(str(error).split())}"]) from None
    where = f"{path}: " if path else ""
    if not isinstance(table, dict):
        raise ConfigError([f"{where}must be a table of keys and values"])
    base = Path(said) if isinstance(said := table.get("base"), str) else PACKAGED / "base"
    made = {key: value for key, value in _as_made(base).items() if key not in table}
    try:
        return Settings.model_validate(made | table, context=None if check_base else _UNCHECKED)
    except ValidationError as error:
        problems = [(e["loc"], _describe(e["loc"], e["msg"])) for e in error.errors()]
        manifest = f"{base / MANIFEST}: serving."
        raise ConfigError([(manifest if loc and loc[0] in made else where) + told for loc, told in problems]) from None


def read_base_manifest(base: Path) -> dict[str, Any]:
    """What a base says of itself; nothing where it has no manifest that can be read."""
    try:
        manifest = json.loads((base / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _as_made(base: Path) -> dict[str, Any]:
    """What holds for a base unless the file says otherwise."""
    serving = read_base_manifest(base).get("serving")
    said = {k: v for k, v in serving.items() if k in _SERVING} if isinstance(serving, dict) else {}
    return said if base.resolve() == (PACKAGED / "base").resolve() else _FOREIGN | said


def _describe(loc: tuple[int | str, ...], message: str) -> str:
    place = ".".join(str(part) for part in loc)
    return f"{place}: {message}" if place else message.removeprefix("Value error, ")
