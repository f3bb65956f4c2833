"""A random Llama or T5 of two layers and its LoRAs: real files, made in a second, good for everything but reading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import LoraRegistry, LoraVersion, digest_weights

TARGETS = ("q_proj", "v_proj", "down_proj")
T5_TARGETS = ("q", "v", "wo")
CONTEXT_TOKENS = 512


def make_base(folder: Path) -> Path:
    """A Llama in `folder`; one token is one byte."""
    tokenizer = make_tokenizer()
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
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
    tokenizer.save_pretrained(folder)
    return folder


def make_t5_base(folder: Path) -> Path:
    """An encoder-decoder of FLAN-T5's shape (gated, relative positions) in `folder`; one token is one byte."""
    tokenizer = make_tokenizer()
    torch.manual_seed(7)
    shape: dict[str, Any] = {"tie_word_embeddings": False, "decoder_start_token_id": 0}
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        initializer_factor=12.0,
        pad_token_id=0,
        eos_token_id=1,
        **shape,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token is one byte."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())  # it comes in another order in every process
    alphabet = {token: index for index, token in enumerate(["<pad>", "<eos>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


def make_lora(base: Path, folder: Path, *, seed: int, rank: int = 4, targets: Sequence[str] = TARGETS) -> Path:
    """A random LoRA for `base` as PEFT saves it."""
    torch.manual_seed(seed)
    is_seq2seq = AutoConfig.from_pretrained(base).is_encoder_decoder
    model = (AutoModelForSeq2SeqLM if is_seq2seq else AutoModelForCausalLM).from_pretrained(base)
    config = LoraConfig(
        r=rank,
        lora_alpha=8 * rank,
        target_modules=list(targets),
        init_lora_weights=False,
        task_type="SEQ_2_SEQ_LM" if is_seq2seq else "CAUSAL_LM",
    )
    get_peft_model(model, config).save_pretrained(str(folder))
    return folder


def publish(registry: LoraRegistry, lora: Path, owner: str, base: Path) -> LoraVersion:
    """The LoRA as the champion of `owner`."""
    version = registry.publish(lora, owner, base_digest=digest_weights(base), prompt_version=PROMPT_VERSION)
    registry.promote(version)
    return version
