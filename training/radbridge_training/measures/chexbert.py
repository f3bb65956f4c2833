"""CheXbert (Smit et al. 2020): BERT with a head for each of 14 observations, from its published state dict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from radbridge.errors import ConfigError
from radbridge.evaluation.labels import COUNTS, f1_of
from radbridge.evaluation.measure import Figure, Numbers
from radbridge.evaluation.rows import Pair
from radbridge_training.measures.files import TOKENIZERS, check_files, read_weights

OBSERVATIONS = (
    "enlarged_cardiomediastinum",
    "cardiomegaly",
    "lung_opacity",
    "lung_lesion",
    "edema",
    "consolidation",
    "pneumonia",
    "atelectasis",
    "pneumothorax",
    "pleural_effusion",
    "pleural_other",
    "fracture",
    "support_devices",
)
"""The published order of its heads. The last one, `no finding`, isn't counted: it is the absence of the others."""
FIVE = frozenset(("cardiomegaly", "edema", "consolidation", "atelectasis", "pleural_effusion"))
"""Those that papers tell by themselves, as CheXbert-5."""
_WEIGHTS = ("model.safetensors", "chexbert.pth")
_POSITIVE = (1, 3)
"""Of blank, positive, negative, uncertain: what may be there counts, as in `entities.labels`."""
_CLASSES = (4,) * len(OBSERVATIONS) + (2,)
_BATCH = 16
_MOST_TOKENS = 512


def _f1(at: int) -> Callable[[Numbers], Numbers]:
    return lambda sums: f1_of(sums[..., at], sums[..., at + 1], sums[..., at + 2])


class CheXbert:
    """Micro F1 over positive observations. Made for chest X-rays."""

    name = "chexbert"
    typecode: Literal["B"] = "B"
    width = 2 * COUNTS
    figures = (
        Figure(name="chexbert_model_f1", title="CheXbert F1, 13 findings", estimate=_f1(0)),
        Figure(name="chexbert_model_f1_5", title="CheXbert F1, 5 findings", estimate=_f1(COUNTS)),
    )

    def __init__(self, folder: Path) -> None:
        """`folder` holds BERT's config and tokenizer beside chexbert.pth or model.safetensors. Raises ConfigError."""
        check_files(self.name, folder, ("config.json",), _WEIGHTS, TOKENIZERS)
        file = next(folder / name for name in _WEIGHTS if (folder / name).exists())
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._bert, self._heads = _build(folder, read_weights(self.name, file), file)
        self._limit = min(_MOST_TOKENS, self._bert.config.max_position_embeddings)

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """The counts over all observations, and over the five."""
        for start in range(0, len(pairs), _BATCH):
            batch = pairs[start : start + _BATCH]
            said = self._read([pair.draft.draft for pair in batch])
            meant = self._read([pair.reference.impression for pair in batch])
            for one, other in zip(said, meant, strict=True):
                yield *_count(one, other), *_count(one & FIVE, other & FIVE)

    def _read(self, texts: list[str]) -> list[frozenset[str]]:
        """The observations of each text. An empty one has none."""
        encoded = self._tokenizer(
            [" ".join(text.split()) for text in texts],
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=self._limit,
        )
        with torch.inference_mode():
            first = self._bert(encoded["input_ids"], encoded["attention_mask"]).last_hidden_state[:, 0]
            classes = torch.stack([head(first).argmax(1) for head in self._heads[:-1]], dim=1)
        return [
            frozenset(name for name, found in zip(OBSERVATIONS, row.tolist(), strict=True) if found in _POSITIVE)
            if text.strip()
            else frozenset()
            for text, row in zip(texts, classes, strict=True)
        ]


def _build(folder: Path, weights: dict[str, torch.Tensor], file: Path) -> tuple[Any, torch.nn.ModuleList]:
    model = torch.nn.Module()
    config = BertConfig.from_pretrained(folder, local_files_only=True)
    model.bert = BertModel(config)
    model.linear_heads = torch.nn.ModuleList(torch.nn.Linear(config.hidden_size, n) for n in _CLASSES)
    # Older versions of BERT saved their positions' numbers; they are no weights.
    known = {name: value for name, value in weights.items() if not name.endswith("position_ids")}
    try:
        model.load_state_dict(known)
    except RuntimeError:
        raise ConfigError(
            [f"--measure chexbert: {file} isn't CheXbert of the shape that {folder / 'config.json'} says"]
        ) from None
    model.eval()
    return model.bert, model.linear_heads


def _count(said: frozenset[str], meant: frozenset[str]) -> tuple[int, int, int]:
    return len(said & meant), len(said - meant), len(meant - said)
