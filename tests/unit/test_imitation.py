"""What the embedded model is trained on: statements beside signed sentences, key phrases, copies."""

from __future__ import annotations

from functools import cache
from itertools import islice
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from radbridge.guard import find_fault
from radbridge.text import content_words
from radbridge_training.imitation import make_imitations, make_own
from radbridge_training.synth import generate_reports
from radbridge_training.synth.mixture import PLAIN
from radbridge_training.synth.persona import NAMED
from radbridge_training.synth.statements import draw_statements
from radbridge_training.synth.wording import is_advice, is_denial
from radbridge_training.task import Example, make_expansion

SEEDS = st.integers(min_value=0, max_value=2**40)


def read_sections(example: Example) -> list[tuple[str, str]]:
    """The lines of a prompt by name."""
    return [(name, text) for line in example.prompt.splitlines() for name, _, text in [line.partition(": ")]]


@cache
def imitations() -> tuple[Example, ...]:
    """Examples that several tests look at."""
    return tuple(islice(make_imitations(7), 120))


def test_the_same_seed_gives_the_same_examples() -> None:
    """A recipe can be run again."""
    assert list(islice(make_imitations(7), 8)) == list(imitations()[:8])
    assert list(islice(make_imitations(6), 8)) != list(imitations()[:8])


def test_every_target_passes_the_check_that_it_will_meet() -> None:
    """No example teaches a rewrite that serving would refuse."""
    for example in imitations():
        statement = dict(read_sections(example))["Preliminary"]
        assert find_fault(example.target.strip(), statement) == "", example


def test_prompts_look_as_in_serving() -> None:
    """The study, up to four signed sentences, the statement: in this order, and nothing else; now and then no style."""
    counts = set()
    for example in imitations():
        names = [name for name, _ in read_sections(example)]
        styled = names.count("Style")
        counts.add(styled)
        assert names in ([*study, *["Style"] * styled, "Preliminary", "Impression:"] for study in ([], ["Study"]))
    assert {0, 3} <= counts <= set(range(5))


def test_a_lora_keeps_its_style_for_those_who_show_none() -> None:
    """Without signed sentences the numbered persona numbers; beside another's it is as in the base's training."""
    examples = list(make_own(3, 40, NAMED["numbered"]))
    assert len(examples) == 40
    assert {("Style: " in e.prompt, e.target.startswith(" 1. ")) for e in examples} == {(True, False), (False, True)}


def test_statements_of_every_kind_are_met() -> None:
    """Denials, advice, findings, several sentences and headings: none is rare enough to be unknown."""
    drawn = list(islice(draw_statements(Random(4)), 200))
    assert sum(map(is_denial, drawn)) > 20
    assert sum(map(is_advice, drawn)) > 5
    assert sum(": " in s for s in drawn) > 5
    assert all(s.strip() for s in drawn)


@settings(max_examples=25)
@given(seed=SEEDS)
def test_expanding_adds_no_finding(seed: int) -> None:
    """What key phrases are expanded to was dictated, in its order, and holds all of their words."""
    for report in generate_reports(seed, 2, PLAIN):
        example = make_expansion(report)
        assert example.prompt.endswith("\nFindings:\n")
        for phrase in report.key_phrases:
            assert set(content_words(phrase)) <= set(content_words(example.target))
        assert [m for m in report.matters if m in report.findings or m in report.statements] == list(report.matters)
