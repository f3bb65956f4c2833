"""BERTScore (Zhang et al. 2020): each token beside the most alike one of the other text, by an encoder's last layer.

Ours: no weights by rarity, no rescaling by a baseline, the last layer. So its figures compare systems by one encoder,
and not with figures of papers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModel, AutoTokenizer

from radbridge.evaluation.measure import Figure, ratio
from radbridge.evaluation.rows import Pair
from radbridge_training.measures.files import TOKENIZERS, check_files

_BATCH = 16
_MOST_TOKENS = 512


class BertScore:
    """Precision: how well the draft's tokens are met; recall: how well the signed text's are; F1 of both, by report."""

    name = "bertscore"
    typecode: Literal["f"] = "f"
    width = 4
    figures = (
        Figure(name="bertscore_f1", title="BERTScore F1", estimate=ratio(3, 0)),
        Figure(name="bertscore_precision", title="BERTScore precision", estimate=ratio(1, 0)),
        Figure(name="bertscore_recall", title="BERTScore recall", estimate=ratio(2, 0)),
    )

    def __init__(self, folder: Path) -> None:
        """`folder` holds an encoder as Hugging Face's transformers keep it. Raises ConfigError."""
        check_files(self.name, folder, ("config.json",), ("model.safetensors",), TOKENIZERS)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        limit = getattr(self._model.config, "max_position_embeddings", _MOST_TOKENS)
        self._limit = min(_MOST_TOKENS, limit)

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """One, precision, recall and F1 of each pair."""
        for start in range(0, len(pairs), _BATCH):
            batch = pairs[start : start + _BATCH]
            drafts = self._embed([pair.draft.draft for pair in batch])
            signed = self._embed([pair.reference.impression for pair in batch])
            yield from map(_match, drafts, signed)

    def _embed(self, texts: list[str]) -> list[torch.Tensor]:
        """One unit vector for each token of each text."""
        encoded = self._tokenizer(
            texts,
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=self._limit,
            return_special_tokens_mask=True,
        )
        own = (encoded.pop("special_tokens_mask") == 0) & encoded["attention_mask"].bool()
        if not encoded["input_ids"].numel():
            return [torch.zeros((0, 1)) for _ in texts]
        with torch.inference_mode():
            hidden = self._model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"])
        vectors = torch.nn.functional.normalize(hidden.last_hidden_state.float(), dim=-1)
        return [vector[kept] for vector, kept in zip(vectors, own, strict=True)]


def _match(draft: torch.Tensor, signed: torch.Tensor) -> tuple[float, float, float, float]:
    if not len(draft) or not len(signed):
        return 1.0, 0.0, 0.0, 0.0
    alike = draft @ signed.T
    precision, recall = float(alike.amax(1).mean()), float(alike.amax(0).mean())
    total = precision + recall
    return 1.0, precision, recall, 2 * precision * recall / total if total > 0 else 0.0
