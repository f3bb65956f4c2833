"""One prompt for serving and training; what `p2` adds leaves `p1` as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.example import StyleExample
from radbridge.prompt import (
    EXAMPLES_SHOWN,
    PROMPT_VERSION,
    Context,
    PromptInput,
    Task,
    Template,
    build_prompt,
    readable_versions,
    shows_style,
)

CASE = PromptInput(
    findings="There is a 5 mm nodule.",
    indication="Cough.",
    comparison="CT of 2025.",
    prior="Nothing was seen.",
    modality="MR",
    sex="F",
    age=64,
    coarse="5 mm nodule.",
)
EXAMPLES = tuple(
    StyleExample(id=f"m{n}", findings=f"Seen {n}.", impression=f"1. Said {n}.\n2. Said more.") for n in range(5)
)
TEXT = st.text(st.sampled_from("ab{}%\n\t .:#é\u2028"), max_size=12)
CASES = st.builds(
    PromptInput,
    findings=TEXT,
    indication=TEXT,
    comparison=TEXT,
    prior=TEXT,
    modality=TEXT,
    sex=TEXT,
    age=st.none() | st.integers(0, 120),
    coarse=TEXT,
)

P1_ALPACA = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n### Instruction:\n"
    "Write the Impression of this radiology report. State only what the findings support.\n\n"
    "### Input:\n%s\n\n### Response:\n"
)


def build_p1(case: PromptInput, template: Template) -> str:
    """The prompt of `p1`, written down once more: weights trained with it are out there."""
    who = " ".join(w for w in (case.modality, case.sex, "" if case.age is None else str(case.age)) if w)
    comparison = f"{case.comparison} Its impression: {case.prior}" if case.prior else case.comparison
    named = {
        "Study": who,
        "Clinical information": case.indication,
        "Comparison": comparison,
        "Findings": case.findings,
        "Preliminary": case.coarse,
    }
    lines = [f"{name}: {' '.join(text.split())}" for name, text in named.items() if text.strip()]
    return "\n".join([*lines, "Impression:\n"]) if template is Template.PLAIN else P1_ALPACA % "\n".join(lines)


@pytest.mark.parametrize("template", [Template.PLAIN, Template.ALPACA])
@given(case=CASES)
def test_without_style_the_prompt_is_the_first_one(template: Template, case: PromptInput) -> None:
    """Whatever the case, `p2` without examples, style and another task is `p1`, byte for byte."""
    assert build_prompt(case, template) == build_p1(case, template)


@pytest.mark.parametrize("template", [Template.PLAIN, Template.ALPACA])
@given(case=CASES, style=st.lists(TEXT, max_size=4).map(tuple))
def test_older_weights_see_no_style(template: Template, case: PromptInput, style: tuple[str, ...]) -> None:
    """A prompt for weights of `p1` is the first one, whatever is known of the radiologist's hand."""
    shown = replace(case, examples=EXAMPLES, style=style)
    version = template.prompt_version.replace("p2", "p1")
    assert build_prompt(shown, template, version=version) == build_p1(case, template)


def test_style_stands_before_the_preliminary_text() -> None:
    """A statement's prompt is study, style lines with the nearest last, preliminary text: as weights are trained."""
    case = PromptInput(findings="", modality="CT", sex="F", age=64, style=("Far.", "Near."), coarse="5 mm nodule.")
    assert build_prompt(case) == "Study: CT F 64\nStyle: Far.\nStyle: Near.\nPreliminary: 5 mm nodule.\nImpression:\n"


def test_the_most_alike_example_stands_last() -> None:
    """At most three whole reports stand after the findings, the most alike last; a list that was signed stays one."""
    prompt = build_prompt(replace(CASE, examples=EXAMPLES))
    assert EXAMPLES_SHOWN == 3
    places = [prompt.index(said) for said in ("Findings:", "Said 2.", "Said 1.", "Said 0.", "Preliminary:")]
    assert places == sorted(places)
    assert "Said 3." not in prompt
    assert "Example: Seen 0.\nSigned: 1. Said 0.\n2. Said more.\nPreliminary:" in prompt


@pytest.mark.parametrize("template", [Template.ALPACA, Template.CHATRADIO, Template.T5])
def test_templates_say_what_examples_are(template: Template) -> None:
    """A model that was tuned to instructions is told what the examples are for, and is told nothing without them."""
    said = "Examples of how this radiologist writes:"
    assert said in build_prompt(replace(CASE, examples=EXAMPLES[:1]), template)
    assert said not in build_prompt(CASE, template)


def test_chatradio_describes_the_reader() -> None:
    """The description names what the study is, in a radiologist's word; without a modality it names none."""
    prompt = build_prompt(CASE, Template.CHATRADIO)
    assert prompt.startswith("You are a radiologist who reports MRI studies.\n\nInstruction: Write the Impression")
    assert prompt.endswith("Preliminary: 5 mm nodule.\n\nImpression:\n")
    without = build_prompt(CASE, Template.CHATRADIO, leave_out=["modality"])
    assert without.startswith("You are a radiologist.\n")


def test_t5_is_one_line() -> None:
    """An encoder-decoder gets the name of its task and everything else on one line."""
    prompt = build_prompt(replace(CASE, examples=EXAMPLES), Template.T5)
    assert prompt.startswith("summarize radiology findings: Study: MR F 64 Clinical information: Cough.")
    assert "\n" not in prompt


@pytest.mark.parametrize("template", Template)
def test_expanding_asks_the_other_way_round(template: Template) -> None:
    """What is given stands as the impression, and the findings are asked for; no example of impressions is shown."""
    case = replace(CASE, task=Task.EXPAND, findings="5 mm nodule.", coarse="", examples=EXAMPLES, style=("Near.",))
    prompt = build_prompt(case, template)
    assert "Impression: 5 mm nodule." in prompt
    assert "Said" not in prompt
    assert "Near." not in prompt
    assert "indings" in prompt.replace("Impression: 5 mm nodule.", "") or template is Template.T5
    assert prompt != build_prompt(replace(case, task=Task.IMPRESSION), template)


GONE: dict[Context, tuple[str, ...]] = {
    "indication": ("Cough",),
    "age": ("64",),
    "sex": (" F",),
    "comparison": ("CT of 2025", "Nothing was seen"),
    "modality": ("MR",),
}


@pytest.mark.parametrize("context", get_args(Context))
def test_context_can_be_left_out(context: Context) -> None:
    """Each piece of context leaves the prompt alone; the comparison takes the prior's impression with it."""
    prompt, rest = (
        build_prompt(CASE, leave_out=[context]),
        [w for c, words in GONE.items() if c != context for w in words],
    )
    assert not [word for word in GONE[context] if word in prompt]
    assert all(word in prompt for word in rest)
    assert "There is a 5 mm nodule." in prompt


def test_what_weights_may_be_served() -> None:
    """A template reads its own versions; `p1` only where there was one, and never to expand."""
    assert readable_versions(Template.PLAIN) == {"p1", "p2"}
    assert readable_versions(Template.ALPACA) == {"p1-alpaca", "p2-alpaca"}
    assert readable_versions(Template.CHATRADIO) == {"p2-chatradio"}
    assert readable_versions(Template.T5) == {"p2-t5"}
    assert readable_versions(Template.PLAIN, Task.EXPAND) == {"p2"}
    assert [shows_style(v) for v in ("p1", "p1-alpaca", PROMPT_VERSION, "p2-t5")] == [False, False, True, True]
