"""The task of the small model: rewrite the coarse text in a style, with the findings in view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from transformers import PreTrainedTokenizerBase

from radbridge.coarse import draft_coarse
from radbridge.prompt import PromptInput, Task, Template, build_prompt
from radbridge_training.recipe import Data, Sight
from radbridge_training.synth import SynthReport, generate_reports, rewrite

_MOST_RANDOM_TOKENS = 32
_ECHOED = 0.5  # copies in which some tokens stand twice, and are followed by others
_FIRST_TOKEN = 3  # after <pad>, <eos>, <bos>
WHOLE: frozenset[Sight] = frozenset(("coarse", "short", "full", "phrases"))
"""What shows all that matters of a report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A prompt and what is to follow it."""

    prompt: str = field(repr=False)
    target: str = field(repr=False)
    """Begins with a space, so that its first word is the token it would be anywhere else."""


def make_examples(
    seed: int, count: int, *, data: Data, sights: dict[Sight, float], template: Template = Template.PLAIN
) -> Iterator[Example]:
    """`count` examples of whole reports, the same for the same seed.

    Random tokens aren't text: `make_token_copy` has those; `imitation` has single statements.
    """
    rng = Random(f"examples {seed}")
    texts = {sight: share for sight, share in sights.items() if sight in WHOLE}
    for report in generate_reports(seed, count):
        style = rng.choices(list(data.styles), list(data.styles.values()))[0]
        sight = rng.choices(list(texts), list(texts.values()))[0]
        if sight == "phrases":
            yield make_expansion(report, template)
        else:
            yield make_example(report, style, sight, rng, drafted=rng.random() < data.drafted, template=template)


def make_example(
    report: SynthReport, style: str, sight: Sight, rng: Random, *, drafted: bool, template: Template = Template.PLAIN
) -> Example:
    """The example that `report` gives in one style, with so much of it in sight."""
    statements = report.statements
    if drafted:
        coarse = draft_coarse(
            report.findings, indication=report.indication, modality=report.modality, sex=report.sex, age=report.age
        )
        statements = tuple(s.text for s in coarse.statements) or statements
    seen = PromptInput(
        findings=_findings_in_sight(report, statements, sight, rng),
        indication=report.indication if sight == "full" or rng.random() < 0.3 else "",
        comparison=report.comparison if sight == "full" or rng.random() < 0.2 else "",
        modality=report.modality if rng.random() < 0.9 else "",
        sex=report.sex if rng.random() < 0.9 else "",
        age=report.age if rng.random() < 0.9 else None,
        coarse=" ".join(statements),
    )
    return Example(prompt=build_prompt(seen, template), target=f" {rewrite(statements, style)}")


def make_expansion(report: SynthReport, template: Template = Template.PLAIN) -> Example:
    """The other way round: from what matters in as few words as say it to the sentences that were dictated of it.

    What else was dictated isn't asked for: a model that learnt to add it would invent findings.
    """
    phrases = PromptInput(
        findings=". ".join(report.key_phrases) + ".",
        indication=report.indication,
        modality=report.modality,
        sex=report.sex,
        age=report.age,
        task=Task.EXPAND,
    )
    return Example(prompt=build_prompt(phrases, template), target=f" {' '.join(report.matters)}")


def make_token_copy(rng: Random, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """A prompt whose coarse text is any tokens at all, and the same tokens again: pure copying, every token alike."""
    size = len(tokenizer)
    content = [rng.randrange(_FIRST_TOKEN, size) for _ in range(rng.randint(3, _MOST_RANDOM_TOKENS))]
    if rng.random() < _ECHOED:
        start, at = rng.randrange(len(content)), rng.randrange(len(content))
        content[at:at] = content[start : start + rng.randint(1, 4)]
    before: list[int] = tokenizer("Preliminary:")["input_ids"]
    after: list[int] = tokenizer("\nImpression:\n")["input_ids"]
    return [*before, *content, *after], content


def _findings_in_sight(report: SynthReport, statements: tuple[str, ...], sight: Sight, rng: Random) -> str:
    """All findings, none, or a stretch of a few sentences."""
    if sight == "full":
        return report.findings
    if sight == "coarse":
        return ""
    sentences = report.findings.split(". ")
    start = rng.randrange(len(sentences))
    return ". ".join(sentences[start : start + rng.randint(1, 4)])
