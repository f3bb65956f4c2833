"""Drafts by a base and its LoRAs, greedy, in batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from radbridge.prompt import PromptInput, build_prompt, shows_style
from radbridge.registry import MANIFEST
from radbridge_training.model import load_base

_BATCH = 16
_NEW_TOKENS = 256


class Writer:
    """The model in a folder with `base/` and `loras/<persona>/`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base, self._tokenizer = load_base(folder / "base")
        self._version: str = json.loads((folder / "base" / MANIFEST).read_bytes())["prompt_version"]
        self._limit = self._base.config.max_position_embeddings - _NEW_TOKENS

    def write(self, cases: Sequence[PromptInput], persona: str) -> Iterator[str]:
        """A draft for each case, in order, by the persona's LoRA, or by the base alone for `base`."""
        model: Any = self._base
        if persona != "base":
            model = PeftModel.from_pretrained(self._base, self._folder / "loras" / persona)
        model.eval()
        for start in range(0, len(cases), _BATCH):
            prompts = [self._fit(case) for case in cases[start : start + _BATCH]]
            yield from self._generate(model, prompts)
        if persona != "base":
            self._base = model.unload()

    def _generate(self, model: Any, prompts: list[str]) -> list[str]:
        encoded = self._tokenizer(prompts, return_tensors="pt", padding=True)
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        with torch.inference_mode():
            out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=_NEW_TOKENS, do_sample=False)
        texts: list[str] = self._tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _fit(self, case: PromptInput) -> str:
        """The prompt, with as much of the findings' beginning as the context holds."""
        if not shows_style(self._version):
            case = replace(case, findings=case.findings or case.coarse)  # as such weights are trained and served
        words = case.findings.split()
        prompt = build_prompt(case, version=self._version)
        while words and len(self._tokenizer(prompt)["input_ids"]) > self._limit:
            words = words[: len(words) * 9 // 10]
            prompt = build_prompt(replace(case, findings=" ".join(words)), version=self._version)
        return prompt
