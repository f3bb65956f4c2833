"""The model server's configuration: a YAML (or JSON) file, checked whole before anything starts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from radbridge.errors import ConfigError

PACKAGED = Path(str(files("radbridge_model_server"))) / "embedded"
"""The base model and persona LoRAs that come with the package."""

LoraOwner = Annotated[str, StringConstraints(pattern=r"^(persona|site|rad)/[A-Za-z0-9_.%~-]+$")]


class Settings(BaseModel):
    """What the model server runs with. Every key has a default: an empty file serves the packaged model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: Literal["coarse-to-fine", "coarse", "whole"] = "coarse-to-fine"
    """`coarse` never loads a model; `whole` is for models of 3 B parameters and more."""
    engine: Literal["transformers", "echo"] = "transformers"
    """`echo` repeats the preliminary impression: for tests of everything around the engine."""
    base: Path = PACKAGED / "base"
    """Folder of the base model."""
    persona_loras: Path = PACKAGED / "loras"
    """Folder of read-only persona LoRAs made for this base, one folder each."""
    loras: Path | None = None
    """Folder of the LoRA registry, which wins over the personas; None: those alone."""
    site_lora: LoraOwner | Literal[""] = "persona/succinct"
    """Whose LoRA drafts for a radiologist who has none; empty: the base model."""
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
    max_new_tokens: int = Field(default=192, ge=8, le=4096)
    deadline_s: float = Field(default=30.0, gt=0, le=600)
    """For a request that states no deadline of its own, and the most that one may state."""
    max_body_kib: int = Field(default=256, ge=1, le=65536)
    """A larger request is answered with HTTP 413."""

    @model_validator(mode="after")
    def _check_folders(self) -> Self:
        if self.strategy != "coarse" and self.engine != "echo" and not (self.base / "config.json").is_file():
            raise ValueError(f"base: no model in {self.base}; give a model's folder, or set strategy: coarse")
        return self


def load_settings(path: Path | None) -> Settings:
    """The settings in `path` (None: the defaults). Raises ConfigError with every problem at once."""
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
    try:
        return Settings(**table)
    except ValidationError as error:
        raise ConfigError([where + _describe(e["loc"], e["msg"]) for e in error.errors()]) from None
    except TypeError:
        raise ConfigError([f"{where}every key must be text"]) from None


def _describe(loc: tuple[int | str, ...], message: str) -> str:
    place = ".".join(str(part) for part in loc)
    return f"{place}: {message}" if place else message.removeprefix("Value error, ")
