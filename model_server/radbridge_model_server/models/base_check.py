"""`radbridge models check`: everything about a config and its base that keeps it from running, all at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from typing import Any

import torch
from transformers import AutoTokenizer

from radbridge.prompt import PromptInput, build_prompt
from radbridge_model_server.models.architecture import Architecture, read_architecture
from radbridge_model_server.models.base_files import find_missing
from radbridge_model_server.models.memory_need import GIB, estimate_memory
from radbridge_model_server.settings import Settings


class Grade(StrEnum):
    """How a thing stands."""

    OK = "ok"
    NOTE = "note"
    """It runs, and somebody should know."""
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One line of what a check says."""

    part: str
    grade: Grade
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is checked. Architecture and tokenizer are None where they can't be read, which is a problem of its own."""

    settings: Settings
    architecture: Architecture | None = None
    tokenizer: Any = field(default=None, repr=False)


Said = Iterator[tuple[Grade, str]]

_PACKAGES = {"transformers": "serve", "vllm": "vllm", "openai": "serve"}
_IMPORTED_AS = {"transformers": ("transformers", "peft"), "vllm": ("vllm",), "openai": ("httpx",)}
_QUANTIZED_FILES: dict[str, frozenset[str]] = {
    "none": frozenset({""}),
    "int8": frozenset({"", "bitsandbytes"}),
    "nf4": frozenset({"", "bitsandbytes"}),
    "awq": frozenset({"awq"}),
    "gptq": frozenset({"gptq"}),
    "fp8": frozenset({"", "fp8", "compressed-tensors"}),
}
"""What `quant_method` in config.json may be; empty: the files aren't quantized, the engine does it while it loads."""
_SAMPLE = PromptInput(
    findings="There is a 5 mm nodule (series 4, image 12). No effusion.", modality="CT", sex="F", age=61
)


def check_base(settings: Settings) -> list[Found]:
    """Everything found. What one check can't read is told once; the others go on."""
    found = list(_check_files(settings))
    architecture, told = _read("architecture", lambda: read_architecture(settings.base), settings)
    found += told
    tokenizer, told = _read("tokenizer", lambda: _read_tokenizer(settings), settings)
    found += told
    subject = Subject(settings=settings, architecture=architecture, tokenizer=tokenizer)
    for part, check in _CHECKS.items():
        found += (Found(part=part, grade=grade, text=text) for grade, text in check(subject))
    return found


def _check_files(settings: Settings) -> Iterator[Found]:
    if settings.hub and not (settings.base / "config.json").is_file():
        text = f"nothing in {settings.base} yet; it is fetched from {settings.hub} at the start"
        yield Found(part="files", grade=Grade.NOTE, text=text)
        return
    needs_weights = settings.engine != "openai"
    missing = list(find_missing(settings.base, needs_weights=needs_weights))
    yield from (Found(part="files", grade=Grade.PROBLEM, text=text) for text in missing)
    if not missing:
        weights = ", safetensors" if needs_weights else ""
        yield Found(part="files", grade=Grade.OK, text=f"{settings.base}: config, tokenizer{weights}")


def compare_digest(settings: Settings, digest: str) -> Found:
    """Whether the base is the one that the config pins."""
    if not settings.base_digest:
        return Found(part="digest", grade=Grade.NOTE, text=f"{digest}, which base_digest doesn't pin")
    if settings.base_digest != digest:
        return Found(part="digest", grade=Grade.PROBLEM, text=f"{digest}; base_digest pins {settings.base_digest}")
    return Found(part="digest", grade=Grade.OK, text=f"{digest}, as pinned")


def _read(part: str, read: Callable[[], Any], settings: Settings) -> tuple[Any, list[Found]]:
    """What `read` gives; None and a problem where it can't, or None alone where the files are known to be missing."""
    if not (settings.base / "config.json").is_file():
        return None, []
    try:
        return read(), []
    except Exception as error:  # noqa: BLE001 - a damaged file makes transformers raise whatever it likes
        reason = " ".join(str(error).split()).partition(". ")[0]
        return None, [
            Found(part=part, grade=Grade.PROBLEM, text=f"can't be read ({type(error).__name__}): {reason[:300]}")
        ]


def _read_tokenizer(settings: Settings) -> Any:
    return AutoTokenizer.from_pretrained(settings.base, local_files_only=True, trust_remote_code=False)


def _check_architecture(subject: Subject) -> Said:
    architecture = subject.architecture
    if architecture is None:
        return
    parameters = sum(p.numel() for p in architecture.model.parameters())
    yield Grade.OK, f"{architecture.name}, {parameters / 1e9:.2f} B parameters"
    if architecture.config.is_encoder_decoder and subject.settings.engine == "vllm":
        yield Grade.PROBLEM, "vLLM doesn't serve encoder-decoder models; set engine: transformers"


def _check_context(subject: Subject) -> Said:
    if subject.architecture is None:
        return
    made_for, asked = subject.architecture.context_tokens, subject.settings.context_tokens
    if asked is None or asked <= made_for:
        yield Grade.OK, f"{asked or made_for} tokens of {made_for}"
    elif getattr(subject.architecture.config, "max_position_embeddings", None) is None:
        yield Grade.NOTE, f"{asked} tokens; it was trained on {made_for}, and its positions are relative"
    else:
        yield Grade.PROBLEM, f"context_tokens: {asked} is more than the {made_for} that it was made for"


def _check_loras(subject: Subject) -> Said:
    if subject.architecture is None:
        return
    settings, matrices = subject.settings, subject.architecture.matrices()
    unknown = [target for target in settings.lora_targets if target not in matrices]
    if unknown or not settings.lora_targets:
        yield Grade.PROBLEM, f"lora_targets: no {', '.join(unknown) or 'targets'}; it has {', '.join(matrices)}"
    narrowest = min(
        (m.in_features for t in settings.lora_targets for m in matrices.get(t, ())), default=settings.max_rank
    )
    if settings.max_rank > narrowest:
        yield Grade.PROBLEM, f"max_rank: {settings.max_rank} is more than its narrowest target has inputs ({narrowest})"
    elif not unknown:
        yield Grade.OK, f"rank up to {settings.max_rank} on {', '.join(settings.lora_targets)}"


def _check_quantization(subject: Subject) -> Said:
    if subject.architecture is None:
        return
    wanted = subject.settings.quantization
    found = subject.architecture.quant_method
    if subject.settings.engine == "openai":
        return
    if found in _QUANTIZED_FILES[wanted]:
        yield Grade.OK, wanted if found or wanted == "none" else f"{wanted}, made while it loads"
    else:
        yield Grade.PROBLEM, f"quantization: {wanted} doesn't fit the files, which are {found or 'not quantized'}"


def _check_prompt(subject: Subject) -> Said:
    tokenizer, settings = subject.tokenizer, subject.settings
    if tokenizer is None:
        return
    text = build_prompt(_SAMPLE, settings.prompt_template)
    ids = tokenizer(text)["input_ids"]
    said = list(_find_prompt_faults(subject, text, ids))
    yield from said or [(Grade.OK, f"template {settings.prompt_template}, {len(ids)} tokens for a short report")]


def _find_prompt_faults(subject: Subject, text: str, ids: list[int]) -> Said:
    tokenizer = subject.tokenizer
    if tokenizer.eos_token_id is None:
        yield Grade.PROBLEM, "the tokenizer has no end token: a draft would never end"
    elif (
        ids[-1] == tokenizer.eos_token_id
        and subject.architecture
        and not subject.architecture.config.is_encoder_decoder
    ):
        yield (
            Grade.PROBLEM,
            "the tokenizer ends a prompt with the end token: nothing would follow; set add_eos_token: false",
        )
    if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids:
        yield Grade.NOTE, "the tokenizer has no tokens for parts of the prompt"
    if any(token in text for token in tokenizer.all_special_tokens):
        yield Grade.PROBLEM, "the prompt template holds one of the tokenizer's special tokens"
    if "\n" not in tokenizer.decode(ids, skip_special_tokens=True):
        yield Grade.NOTE, "the tokenizer drops line breaks: the model sees the prompt's sections on one line"
    if subject.architecture and len(tokenizer) > subject.architecture.model.get_input_embeddings().num_embeddings:
        yield Grade.PROBLEM, f"the tokenizer has {len(tokenizer)} tokens, more than the model: it is another model's"


def _check_engine(subject: Subject) -> Said:
    settings = subject.settings
    missing = [name for name in _IMPORTED_AS.get(settings.engine, ()) if find_spec(name) is None]
    if settings.quantization in {"int8", "nf4"} and settings.engine != "openai" and find_spec("bitsandbytes") is None:
        missing.append("bitsandbytes")
    if missing:
        extra = _PACKAGES[settings.engine]
        yield Grade.PROBLEM, f"{', '.join(missing)} isn't installed: pip install 'radbridge[{extra}]'"
    elif settings.device == "cuda" and not torch.cuda.is_available():
        yield Grade.PROBLEM, "device: cuda, but this machine has no GPU that torch can use"
    else:
        yield Grade.OK, f"{settings.engine} on {settings.device}"


def _check_memory(subject: Subject) -> Said:
    settings = subject.settings
    if subject.architecture is None or settings.engine == "openai":
        return
    need = estimate_memory(subject.architecture, settings)
    parts = f"{need.weights / GIB:.1f} weights + {need.cache / GIB:.1f} cache + {need.loras / GIB:.1f} LoRAs"
    told = f"{need.gib:.1f} GiB ({parts}) beside the program's own 1"
    if settings.device == "cpu":
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    elif torch.cuda.is_available():
        share = settings.vllm.gpu_memory_utilization if settings.engine == "vllm" else 1.0
        there = torch.cuda.get_device_properties(0).total_memory / GIB * share * settings.vllm.tensor_parallel_size
    else:
        yield Grade.NOTE, f"needs {told}; there is no GPU here to compare with"
        return
    if need.gib > there:
        yield Grade.PROBLEM, f"needs {told}; there are {there:.1f}: a smaller max_batch, context or quantization helps"
    elif need.gib > settings.memory_gib:
        yield Grade.NOTE, f"needs {told}; memory_gib says {settings.memory_gib:g}"
    else:
        yield Grade.OK, f"needs {told}; there are {there:.1f}"


_CHECKS: dict[str, Callable[[Subject], Said]] = {
    "architecture": _check_architecture,
    "context": _check_context,
    "LoRAs": _check_loras,
    "quantization": _check_quantization,
    "prompt": _check_prompt,
    "engine": _check_engine,
    "memory": _check_memory,
}
