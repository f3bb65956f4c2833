"""Makes a prompt fit the model's context."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from radbridge.prompt import PromptInput, Template, build_prompt

_SENTENCE_END = re.compile(r"(?<=[.;:!?])\s+|\n+")


def fit_prompt(
    case: PromptInput, *, count: Callable[[str], int], limit: int, template: Template = Template.PLAIN
) -> tuple[str, bool]:
    """The prompt in at most `limit` tokens by `count`, and whether findings were cut.

    Whole sentences leave from just past the middle of the findings: of three that stay, two are from the beginning and
    one is from the end. Before any of them leaves, what was concluded of the prior study does. Nothing else is cut; a
    prompt that is too long even without findings comes back as it is.
    """
    prompt = build_prompt(case, template)
    if count(prompt) <= limit:
        return prompt, False
    if case.prior:
        return fit_prompt(replace(case, prior=""), count=count, limit=limit, template=template)
    sentences = [s for s in _SENTENCE_END.split(case.findings) if s.strip()]
    fits, over = 0, len(sentences)
    while over - fits > 1:
        middle = (fits + over) // 2
        if count(_build_cut(case, sentences, middle, template)) <= limit:
            fits = middle
        else:
            over = middle
    return _build_cut(case, sentences, fits, template), True


def _build_cut(case: PromptInput, sentences: list[str], keep: int, template: Template) -> str:
    tail = keep // 3
    kept = sentences[: keep - tail] + (sentences[-tail:] if tail else [])
    return build_prompt(replace(case, findings=" ".join(kept)), template)
