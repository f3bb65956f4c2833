"""A random Llama of two layers and its LoRAs: real files, made in a second, good for everything but reading."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import LoraRegistry, LoraVersion, digest_weights

TARGETS = ("q_proj", "v_proj", "down_proj")
CONTEXT_TOKENS = 512


def make_base(folder: Path) -> Path:
    """A base model in `folder`; one token is one byte."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())  # it comes in another order in every process
    alphabet = {token: index for index, token in enumerate(["<pad>", "<eos>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(alphabet),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT_TOKENS,
        initializer_range=0.4,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def make_lora(base: Path, folder: Path, *, seed: int, rank: int = 4) -> Path:
    """A random LoRA for `base` as PEFT saves it."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM.from_pretrained(base)
    config = LoraConfig(
        r=rank, lora_alpha=8 * rank, target_modules=list(TARGETS), init_lora_weights=False, task_type="CAUSAL_LM"
    )
    get_peft_model(model, config).save_pretrained(str(folder))
    return folder


def publish(registry: LoraRegistry, lora: Path, owner: str, base: Path) -> LoraVersion:
    """The LoRA as the champion of `owner`."""
    version = registry.publish(lora, owner, base_digest=digest_weights(base), prompt_version=PROMPT_VERSION)
    registry.promote(version)
    return version
