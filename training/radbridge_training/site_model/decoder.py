"""Trains a decoder on a site's reports, from findings to impression: what the site model is compared with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from radbridge.prompt import PromptInput, build_prompt
from radbridge.registry import MANIFEST, write_manifest
from radbridge.text import split_sentences
from radbridge_training.batches import encode
from radbridge_training.memory import keep_memory
from radbridge_training.model import load_base, save_base, weigh_loss
from radbridge_training.site_model.decoding import DecoderPlan, Start
from radbridge_training.site_model.reports import SignedReport

Encoded = tuple[list[int], list[int]]
_NEWS_EVERY = 10
"""Steps."""


def train_decoder(
    reports: Sequence[SignedReport],
    *,
    base: Path,
    start: Start,
    plan: DecoderPlan,
    out: Path,
    on_steps: Callable[[int, int, float], object] = lambda step, steps, loss: None,
) -> None:
    """Writes a base's folder that drafts in one step. `on_steps` gets steps done, steps in all and the loss."""
    keep_memory()
    torch.manual_seed(plan.seed)
    model, tokenizer = load_base(base)
    if start is Start.SCRATCH:
        model = LlamaForCausalLM(model.config)
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay
    )
    steps = plan.epochs * -(-len(reports) // plan.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.learning_rate, total_steps=steps)
    for step, (ids, weights) in enumerate(_make_batches(reports, tokenizer, plan), 1):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = weigh_loss(model, ids, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if step % _NEWS_EVERY == 0:
            on_steps(step, steps, loss.item())
    _save(out, model, tokenizer, start, plan)


def _make_batches(
    reports: Sequence[SignedReport], tokenizer: PreTrainedTokenizerBase, plan: DecoderPlan
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Epoch after epoch, reports of like length together; the batches of an epoch in any order."""
    rng = Random(plan.seed)
    for _ in range(plan.epochs):
        examples = [encode(*_show(report, rng), tokenizer) for report in reports]
        examples = [e for e in examples if len(e[0]) + len(e[1]) <= plan.max_tokens]
        examples.sort(key=lambda e: len(e[0]) + len(e[1]))
        groups = [examples[first : first + plan.batch] for first in range(0, len(examples), plan.batch)]
        rng.shuffle(groups)
        yield from map(_pad, groups)


def _show(report: SignedReport, rng: Random) -> tuple[str, str]:
    """Prompt and target, the findings' sentences in any order: what they say doesn't hang on it."""
    sentences = split_sentences(report.findings)
    rng.shuffle(sentences)
    seen = PromptInput(
        findings=" ".join(sentences),
        indication=report.indication,
        comparison=report.comparison,
        modality=report.modality,
        sex=report.sex,
        age=report.age,
    )
    return build_prompt(seen), f" {report.impression}"


def _pad(group: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids padded on the right, and a loss on the targets alone."""
    width = max(len(prompt) + len(target) for prompt, target in group)
    ids, weights = torch.zeros((len(group), width), dtype=torch.long), torch.zeros((len(group), width))
    for row, (prompt, target) in enumerate(group):
        end = len(prompt) + len(target)
        ids[row, :end] = torch.tensor([*prompt, *target])
        weights[row, len(prompt) : end] = 1.0
    return ids, weights


def _save(
    out: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, start: Start, plan: DecoderPlan
) -> None:
    save_base(out, model, tokenizer, name=f"decoder-{start}", trained={"start": start, **asdict(plan)})
    manifest = json.loads((out / MANIFEST).read_bytes())
    write_manifest(out, manifest | {"serving": {"strategy": "single"}})
