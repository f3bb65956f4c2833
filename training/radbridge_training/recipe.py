"""Recipes: what to train, read from YAML and checked whole before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from radbridge.errors import ConfigError
from radbridge.prompt import Template

Sight = Literal["tokens", "statement", "coarse", "short", "full", "phrases"]
"""How much a prompt shows: random tokens, one statement with signed sentences before it, the coarse text alone, the
findings around it, or everything; or, for the task `expand`, key phrases that findings are to be made of."""


class Table(BaseModel):
    """A table of a recipe; a key it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shape(Table):
    """The Llama architecture's sizes."""

    vocab_size: int = Field(default=4096, ge=300)
    hidden_size: int = Field(default=288, ge=16)
    intermediate_size: int = Field(default=864, ge=16)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1)
    kv_heads: int = Field(default=4, ge=1)
    head_dim: int = Field(default=64, ge=8)
    planted: bool = True
    """Start with the copying circuit in place; see `copying`."""

    @model_validator(mode="after")
    def _check_room(self) -> Self:
        """The circuit needs two layers, four heads with keys of their own, and heads that hold half a code."""
        wants = self.layers >= 2 and self.kv_heads == self.heads >= 4 and self.hidden_size // 36 * 7 <= self.head_dim
        if self.planted and not (wants and self.hidden_size >= 36):
            raise ValueError("planted needs layers >= 2, heads = kv_heads >= 4, head_dim >= 7/36 of hidden_size >= 36")
        return self

    positions: int = Field(default=1024, ge=64)


class Optimizer(Table):
    """AdamW with a linear warm-up and a cosine to `floor` of the peak."""

    learning_rate: float = Field(gt=0, le=0.1)
    embedding_share: float = Field(default=0.2, gt=0, le=1)
    """The embedding's part of the rate: it holds the codes that copying goes by, and moves slowly."""
    warmup_steps: int = Field(default=100, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    floor: float = Field(default=0.05, ge=0, le=1)
    clip: float = Field(default=1.0, gt=0)


class Phase(Table):
    """One step of the curriculum."""

    steps: int = Field(ge=1)
    sights: dict[Sight, float] = Field(min_length=1)
    """How often each amount of prompt is shown."""
    batch_tokens: int = Field(ge=64)
    max_tokens: int = Field(ge=32)
    """Examples longer than this are left out."""
    prompt_loss: float = Field(default=0.0, ge=0, le=1)
    """Weight of the loss on the prompt; a little lets a young model find out how to copy."""


class Data(Table):
    """What the examples are made of."""

    drafted: float = Field(default=0.5, ge=0, le=1)
    """The share whose coarse text comes from `radbridge.coarse`, as in serving; the grammar's own otherwise."""
    styles: dict[Literal["neutral", "succinct", "elaborate", "numbered"], float] = Field(min_length=1)


class BaseRecipe(Table):
    """How to train the base model and its tokenizer."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    out: Path
    """Where the finished model goes; written beside it first, then renamed."""
    work: Path
    """Checkpoints, outside git."""
    start: Path | None = None
    """A finished base to go on from, shape and tokenizer and all; fresh weights without."""
    seed: int = 0
    threads: int = Field(default=2, ge=1)
    tokenizer_reports: int = Field(default=10_000, ge=10)
    shape: Shape = Shape()
    optimizer: Optimizer
    data: Data
    phases: tuple[Phase, ...] = Field(min_length=1)
    max_minutes: float = Field(gt=0)
    checkpoint_minutes: float = Field(default=3.0, gt=0)


class StyleRecipe(Table):
    """How to train one style LoRA on a finished base."""

    persona: Literal["succinct", "elaborate", "numbered", "expand"]
    """Whose style; `expand`: nobody's, such a LoRA makes findings of key phrases."""
    prompt_template: Template = Template.PLAIN
    """As the base is served with: a LoRA learns one prompt, and is refused under another."""
    base: Path
    out: Path
    work: Path
    seed: int = 0
    sequence: int = Field(default=1, ge=1)
    """The number in the version; one more for each set of weights that is published."""
    number: int = Field(ge=1, le=999)
    """The integer that vLLM knows the weights by: below the registry's first, and another one for each sequence."""
    threads: int = Field(default=2, ge=1)
    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=5e-4, gt=0, le=0.1)
    batch_size: int = Field(default=16, ge=1)
    examples: int = Field(ge=1)
    drafted: float = Field(default=0.5, ge=0, le=1)
    """As in `Data`."""
    sights: dict[Sight, float] = Field(min_length=1)
    """As in `Phase`, without random tokens."""
    max_tokens: int = Field(default=640, ge=32)
    max_minutes: float = Field(gt=0)


R = TypeVar("R", bound=Table)


def load_recipe(path: Path, kind: type[R]) -> R:
    """The recipe in `path`. Raises ConfigError with every problem at once."""
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}; name a file of training/recipes"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{path}: not YAML: {error}"]) from None
    except ValidationError as error:
        raise ConfigError(
            [f"{path}: {'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors()]
        ) from None
