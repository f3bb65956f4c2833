"""Base and LoRAs of the serving benches, made in seconds: the packaged model's shape and tokenizer, random weights.

Every draft of `tests.support.walking_model` has the length that it was allowed, so engines are compared at equal work.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from transformers import LlamaConfig

from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import LoraRegistry, LoraVersion, digest_weights
from radbridge_model_server.settings import PACKAGED
from tests.support.walking_model import LIVELY, make_lora, make_model

RANK = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Radiologists:
    """A base model and a LoRA for each of many, in folders that are gone afterwards."""

    base: Path
    registry: LoraRegistry
    versions: tuple[LoraVersion, ...]


@contextmanager
def radiologists(count: int) -> Iterator[Radiologists]:
    """So many of them, each LoRA published and promoted."""
    with tempfile.TemporaryDirectory() as folder:
        base = make_base(Path(folder) / "base")
        registry = LoraRegistry(Path(folder) / "loras")
        numbers = track(range(count), description="making LoRAs", console=Console(stderr=True), transient=True)
        versions = tuple(publish(registry, base, f"rad/9{number:05d}", seed=number) for number in numbers)
        yield Radiologists(base=base, registry=registry, versions=versions)


def make_base(folder: Path) -> Path:
    """A random base of the packaged one's shape, with its tokenizer."""
    config = LlamaConfig.from_pretrained(PACKAGED / "base")
    config.tie_word_embeddings = False
    make_model(config, LIVELY).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copyfile(PACKAGED / "base" / name, folder / name)
    return folder


def publish(registry: LoraRegistry, base: Path, owner: str, *, seed: int, rank: int = RANK) -> LoraVersion:
    """The owner's new champion; the same seed makes the same weights."""
    with tempfile.TemporaryDirectory() as folder:
        made = make_lora(Path(folder) / "lora", LlamaConfig.from_pretrained(base), LIVELY, seed=seed, rank=rank)
        version = registry.publish(made, owner, base_digest=digest_weights(base), prompt_version=PROMPT_VERSION)
    registry.promote(version)
    return version
