"""Drafts by a base and a LoRA as the model server would make them, without a model server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from radbridge.learning import Shown, Ways, as_input
from radbridge.learning.examples import coarse_of
from radbridge.prompt import build_prompt
from radbridge.rewrites import Attempt, Plan, assemble, plan_rewrites, show
from radbridge_training.optimize.generating import Answer, generate
from radbridge_training.optimize.load import find_context, load_bare
from radbridge_training.turn_recipe import Load

NEW_TOKENS = 192
"""The model server's own limit, unless its settings say otherwise."""
SAMPLED_TOKENS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnDraft:
    """What would be drafted for one report."""

    id: str
    """The report's."""
    text: str = field(repr=False)
    prompts: tuple[str, ...] = field(repr=False)
    answers: tuple[str, ...] = field(repr=False)
    refused: int
    """Of the answers, those that the guard didn't take for what they were to say; their statements stand instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What is asked for one report, and how its answers become a text."""

    shown: Shown
    prompts: tuple[str, ...]
    coarse: str
    plan: Plan | None
    """None: the whole text is asked for at once."""

    def read(self, answers: Sequence[Answer]) -> OwnDraft:
        """The draft that these answers make."""
        attempts = [Attempt(text=a.text, refusal="" if a.finished else "it doesn't end") for a in answers]
        if self.plan:
            rewrite = assemble(self.plan.statements, attempts, self.plan.hand)
            text, refused = rewrite.text, len(rewrite.refused)
        else:
            refused = sum(not (a.text and a.finished) for a in answers)
            text = self.coarse if refused else answers[0].text
        said = tuple(a.text for a in answers)
        return OwnDraft(id=self.shown.report.id, text=text, prompts=self.prompts, answers=said, refused=refused)


class OwnWriter:
    """The model in `base` under the LoRA in `lora`, or alone; greedy, as engines write."""

    def __init__(self, base: Path, lora: Path | None, ways: Ways, *, threads: int, load: Load = Load.AUTO) -> None:
        torch.set_num_threads(threads)
        model, self._tokenizer = load_bare(base, load)
        self._model: Any = PeftModel.from_pretrained(model, str(lora)) if lora else model
        self._ways = ways

    def draft(self, shown: Sequence[Shown]) -> Iterator[OwnDraft]:
        """A draft for each report, beside the examples that are shown with it."""
        asked = [_ask(one, self._ways) for one in shown]
        answers = iter(self.answer([prompt for one in asked for prompt in one.prompts]))
        for one in asked:
            yield one.read([next(answers) for _ in one.prompts])

    def answer(self, prompts: Sequence[str]) -> list[Answer]:
        """What is written for each prompt; nothing for one that leaves no room for an answer."""
        ids: list[list[int]] = [self._tokenizer(prompt, verbose=False)["input_ids"] for prompt in prompts]
        limit = find_context(self._model) - NEW_TOKENS
        fitting = [place for place, prompt in enumerate(ids) if len(prompt) <= limit]
        written = generate(self._model, self._tokenizer, [ids[place] for place in fitting], most=NEW_TOKENS)
        answers = {fitting[n]: answer for n, answer in written}
        return [answers.get(place, Answer(text="", finished=False)) for place in range(len(prompts))]

    def sample(self, prompts: Sequence[str], *, seed: int) -> list[str]:
        """What is drawn for each prompt at temperature 1, rare words and all."""
        torch.manual_seed(seed)
        ids: list[list[int]] = [self._tokenizer(prompt, verbose=False)["input_ids"] for prompt in prompts]
        drawn = dict(generate(self._model, self._tokenizer, ids, most=SAMPLED_TOKENS, temperature=1.0))
        return [drawn[place].text for place in range(len(prompts))]


def list_prompts(shown: Sequence[Shown], ways: Ways) -> list[str]:
    """The prompts that are put for these reports."""
    return [prompt for one in shown for prompt in _ask(one, ways).prompts]


def _ask(shown: Shown, ways: Ways) -> _Asked:
    case = as_input(shown.report)
    coarse = coarse_of(case)
    if ways.strategy == "coarse_to_fine" and ways.coarse_by == "extractive":
        plan = plan_rewrites(coarse.statements, shown.examples, ways.version)
        seen = [show(said, plan, case=case, version=ways.version) for said in plan.statements]
    else:
        plan = None
        two_steps = ways.strategy == "coarse_to_fine"
        seen = [replace(case, examples=shown.examples, coarse=coarse.text if two_steps else "")]
    prompts = tuple(build_prompt(one, ways.template, version=ways.version, leave_out=ways.leave_out) for one in seen)
    return _Asked(shown=shown, prompts=prompts, coarse=coarse.text, plan=plan)
