"""Builds the prompt: the sections in a fixed order, in the words of a template."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from radbridge.imaging import tell_comparison
from radbridge.prompt.case import Context, PromptInput, Task
from radbridge.prompt.templates import MODALITIES, PROMPT_VERSION, TEMPLATES, Frame, Template

EXAMPLES_SHOWN = 3
"""Whole reports; a prompt has room for no more."""

_FIRST = "p1"
_SINCE_FIRST = frozenset({Template.PLAIN, Template.ALPACA})
"""Templates that `p1` had."""
_WITHOUT: dict[Context, dict[str, Any]] = {
    "indication": {"indication": ""},
    "age": {"age": None},
    "sex": {"sex": ""},
    "comparison": {"comparison": "", "prior": ""},
    "modality": {"modality": ""},
}


def build_prompt(
    case: PromptInput,
    template: Template = Template.PLAIN,
    *,
    version: str = PROMPT_VERSION,
    leave_out: Collection[Context] = (),
) -> str:
    r"""The prompt up to where the answer begins. A plain one ends in `Impression:\\n`.

    `version` is that of the weights that will read it, with or without the template's name. One of `p1` shows neither
    examples nor style. Empty sections aren't there.
    """
    for context in leave_out:
        case = replace(case, **_WITHOUT[context])
    frame = TEMPLATES[template][case.task]
    lines = _tell_expanding(case) if case.task is Task.EXPAND else _tell_case(case, frame, version)
    text = frame.between.join([*lines, *frame.closing])
    return frame.around.format(input=text, role=_tell_role(case.modality))


def readable_versions(template: Template, task: Task = Task.IMPRESSION) -> frozenset[str]:
    """The versions of LoRAs that prompts of a template can be built for."""
    is_older = template in _SINCE_FIRST and task is Task.IMPRESSION
    first = template.prompt_version.replace(PROMPT_VERSION, _FIRST, 1)
    return frozenset({template.prompt_version, first} if is_older else {template.prompt_version})


def shows_style(version: str) -> bool:
    """Whether prompts of a version show how a radiologist writes."""
    return version.partition("-")[0] != _FIRST


def _tell_case(case: PromptInput, frame: Frame, version: str) -> Iterator[str]:
    yield from _tell(("Study", _tell_study(case)), ("Clinical information", case.indication))
    yield from _tell(("Comparison", tell_comparison(case.comparison, case.prior)), ("Findings", case.findings))
    hand = [*_tell_examples(case, frame), *_tell(*(("Style", sentence) for sentence in case.style))]
    if hand and shows_style(version):
        yield from (*frame.heading, *hand)
    yield from _tell(("Preliminary", case.coarse))


def _tell_expanding(case: PromptInput) -> Iterator[str]:
    yield from _tell(("Study", _tell_study(case)), ("Clinical information", case.indication))
    yield from _tell(("Comparison", tell_comparison(case.comparison, case.prior)), ("Impression", case.findings))


def _tell_examples(case: PromptInput, frame: Frame) -> Iterator[str]:
    """The most alike stands last: what is near is copied most. A list that was signed stays one."""
    for example in reversed(case.examples[:EXAMPLES_SHOWN]):
        yield from _tell(("Example", example.findings))
        said = [" ".join(line.split()) for line in example.impression.splitlines() if line.strip()]
        yield f"Signed: {frame.between.join(said)}"


def _tell(*sections: tuple[str, str]) -> Iterator[str]:
    return (f"{name}: {' '.join(text.split())}" for name, text in sections if text.strip())


def _tell_study(case: PromptInput) -> str:
    return " ".join(w for w in (case.modality, case.sex, "" if case.age is None else str(case.age)) if w)


def _tell_role(modality: str) -> str:
    kind = MODALITIES.get(modality, modality)
    return f"You are a radiologist who reports {kind} studies." if kind else "You are a radiologist."
