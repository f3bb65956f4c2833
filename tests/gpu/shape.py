"""The models' shapes, and how long prompts and drafts are in each."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import LlamaConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A Llama without weights, and the work that is measured on it."""

    config: LlamaConfig
    prompt_tokens: int = 600
    new_tokens: int = 48
    loras: tuple[int, ...] = (1, 8, 64)
    concurrencies: tuple[int, ...] = (1, 16, 64)
    rank: int = 16

    @property
    def context_tokens(self) -> int:
        """Room for a prompt and its draft, to the next 64."""
        return -(-(self.prompt_tokens + self.new_tokens + 1) // 64) * 64


def _config(*, hidden: int, inner: int, layers: int, heads: int, keys: int, words: int) -> LlamaConfig:
    return LlamaConfig(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=keys,
        vocab_size=words,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )


SHAPES = {
    # Llama 3, Qwen 2.5 (without its attention's bias) and Llama 2.
    "llama-8b": Shape(config=_config(hidden=4096, inner=14336, layers=32, heads=32, keys=8, words=128256)),
    "qwen-7b": Shape(config=_config(hidden=3584, inner=18944, layers=28, heads=28, keys=4, words=152064)),
    "llama-7b": Shape(config=_config(hidden=4096, inner=11008, layers=32, heads=32, keys=32, words=32000)),
    "tiny": Shape(
        config=_config(hidden=128, inner=256, layers=2, heads=2, keys=1, words=640),
        prompt_tokens=60,
        new_tokens=8,
        loras=(1, 4),
        concurrencies=(1, 4),
        rank=4,
    ),
}
