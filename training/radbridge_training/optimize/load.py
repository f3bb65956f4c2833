"""A base with a LoRA that is to be trained: new, or the one that another step made."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedTokenizerBase
from transformers.utils import logging

from radbridge.errors import TrainingFault
from radbridge_training.model import TARGETS
from radbridge_training.turn_recipe import Load, LoraShape


def load_for_training(base: Path, load: Load, *, lora: Path | LoraShape) -> tuple[PeftModel, PreTrainedTokenizerBase]:
    """The model in `base` under the LoRA in a folder, or under a new one of a shape, and the tokenizer.

    A trainer adds a second LoRA to the model that it is given (its frozen reference, named `ref`): each trainer needs a
    model of its own. Seed torch first: a new LoRA's weights are drawn. Raises TrainingFault for a model none of whose
    layers a LoRA of ours could change.
    """
    model, tokenizer = load_bare(base, load)
    if isinstance(lora, LoraShape):
        return get_peft_model(model, configure_lora(model, lora, "CAUSAL_LM")), tokenizer
    return PeftModel.from_pretrained(model, str(lora), is_trainable=True), tokenizer


def load_bare(base: Path, load: Load) -> tuple[Any, PreTrainedTokenizerBase]:
    """The model in `base` without any LoRA, on the GPU where there is one, and its tokenizer."""
    hush()
    kind: Any = AutoModelForCausalLM
    model = kind.from_pretrained(base, **configure_load(load))
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(base, local_files_only=True)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def hush() -> None:
    """No bars and no advice of transformers beside our own."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def configure_load(load: Load) -> dict[str, Any]:
    """Arguments of `from_pretrained` for a number format: safetensors only, no code of the folder is run."""
    chosen = resolve(load)
    dtype = torch.float32 if chosen is Load.FLOAT32 else torch.bfloat16
    quantized = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {
        "dtype": dtype,
        "device_map": {"": 0 if torch.cuda.is_available() else "cpu"},
        "use_safetensors": True,
        "local_files_only": True,
    } | ({"quantization_config": quantized} if chosen is Load.NF4 else {})


def resolve(load: Load) -> Load:
    """What `auto` means on this machine; anything else is what it is."""
    if load is not Load.AUTO:
        return load
    if not torch.cuda.is_available():
        return Load.FLOAT32
    return Load.NF4 if importlib.util.find_spec("bitsandbytes") else Load.BFLOAT16


def find_context(model: Any) -> int:
    """Tokens that the base was made for; 2,048 of one that doesn't say."""
    return int(getattr(model.config, "max_position_embeddings", 2048))


def configure_lora(model: Any, shape: LoraShape, task: str, **more: Any) -> LoraConfig:
    """A plain LoRA on every layer that engines can serve one for (rule 6)."""
    layers = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    targets = [target for target in TARGETS if target in layers]
    if not targets:
        raise TrainingFault("the base has no layer that a LoRA of ours changes")
    return LoraConfig(r=shape.rank, lora_alpha=shape.alpha, target_modules=targets, bias="none", task_type=task, **more)
