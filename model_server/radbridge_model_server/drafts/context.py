"""Makes a prompt fit the model's context."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from radbridge.prompt import EXAMPLES_SHOWN, Context, PromptInput, Template, build_prompt, shows_style
from radbridge_model_server.engines.engine import Engine

_SENTENCE_END = re.compile(r"(?<=[.;:!?])\s+|\n+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A prompt, and what of the case is in it."""

    text: str = field(repr=False)
    cut: bool
    """Whether findings were cut."""
    examples: tuple[str, ...] = ()
    """The ids of the signed reports that it shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitter:
    """Builds prompts for one engine, by the site's settings."""

    engine: Engine
    template: Template
    leave_out: tuple[Context, ...]
    max_new_tokens: int

    def fit(self, case: PromptInput, version: str) -> Fitted | None:
        """The prompt for weights of a prompt version; None where even without findings it is too long."""
        if not shows_style(version):
            case = replace(case, examples=(), style=())
        limit, count = self.engine.context_tokens - self.max_new_tokens, self.engine.count_tokens
        build = partial(build_prompt, template=self.template, version=version, leave_out=self.leave_out)
        fitted = fit_prompt(case, count=count, limit=limit, build=build)
        return None if fitted.cut and count(fitted.text) > limit else fitted


def fit_prompt(
    case: PromptInput, *, count: Callable[[str], int], limit: int, build: Callable[[PromptInput], str] = build_prompt
) -> Fitted:
    """The prompt in at most `limit` tokens by `count`.

    First examples leave, the least alike before the others; then style, the farthest first; then what was concluded of
    the prior study. Only then do findings: whole sentences from just past their middle, so that of three that stay two
    are from the beginning and one is from the end. Nothing else is cut; a prompt that is too long even without findings
    comes back as it is.
    """
    smaller = case
    for smaller in _lighten(case):
        prompt = build(smaller)
        if count(prompt) <= limit:
            return Fitted(text=prompt, cut=False, examples=tuple(e.id for e in smaller.examples))
    sentences = [s for s in _SENTENCE_END.split(case.findings) if s.strip()]
    fits, over = 0, len(sentences)
    while over - fits > 1:
        middle = (fits + over) // 2
        if count(build(_keep(smaller, sentences, middle))) <= limit:
            fits = middle
        else:
            over = middle
    return Fitted(text=build(_keep(smaller, sentences, fits)), cut=True)


def _lighten(case: PromptInput) -> Iterator[PromptInput]:
    """The case as it would be shown, then with ever less of what is no finding."""
    case = replace(case, examples=case.examples[:EXAMPLES_SHOWN])
    yield case
    while case.examples:
        case = replace(case, examples=case.examples[:-1])
        yield case
    while case.style:
        case = replace(case, style=case.style[1:])
        yield case
    if case.prior:
        yield replace(case, prior="")


def _keep(case: PromptInput, sentences: list[str], keep: int) -> PromptInput:
    tail = keep // 3
    kept = sentences[: keep - tail] + (sentences[-tail:] if tail else [])
    return replace(case, findings=" ".join(kept))
