"""Personas: styles drawn by seed, told apart, and never another content."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.guard import find_fault
from radbridge.text import read_words
from radbridge_training.synth import Part, Persona, draw_personas, generate_reports, pick_personas, rewrite
from radbridge_training.synth.layout import arrange, lay_out
from radbridge_training.synth.mixture import EVEN
from radbridge_training.synth.persona import NAMED, NEUTRAL, Framing, Order
from radbridge_training.synth.wording import is_advice, is_denial, reword
from radbridge_training.synth.words import load_table

SEEDS = st.integers(min_value=0, max_value=2**40)
PARTS = st.sampled_from(Part)
SIDES = {"left", "right", "bilateral"}
NEGATIONS = {"no", "not", "without", "none", "never", "cannot", "negative", "absent"}
MARK = re.compile(r"^(?:\d+[.)]|[-•]) ", re.MULTILINE)


@given(seed=SEEDS, part=PARTS)
def test_no_persona_changes_what_a_statement_says(seed: int, part: Part) -> None:
    """The guard's rewriting check, which keeps a rewrite back in serving, has nothing against any persona's wording."""
    [persona] = pick_personas(seed, 1, part)
    for report in generate_reports(seed, 2, EVEN):
        for statement in report.statements:
            assert not find_fault(reword(statement, persona), statement)


@given(seed=SEEDS)
def test_sides_numbers_and_negations_stay_as_they_are(seed: int) -> None:
    """Counted without the guard: the same numbers and sides in the same order, and as much denied."""
    [persona] = pick_personas(seed, 1, Part.TRAINING)
    for report in generate_reports(seed, 2, EVEN):
        for statement in report.statements:
            before, after = read_words(statement), read_words(reword(statement, persona))
            assert [w for w in after if w[0].isdigit() or w in SIDES] == [
                w for w in before if w[0].isdigit() or w in SIDES
            ]
            assert bool(NEGATIONS.intersection(after)) == bool(NEGATIONS.intersection(before))


@given(seed=SEEDS)
def test_a_whole_text_says_every_abnormal_statement_once(seed: int) -> None:
    """Layout leaves out denials and advice where the persona does, never a finding, and adds none."""
    [persona] = pick_personas(seed, 1, Part.HELD_OUT)
    plain = replace(persona, opening="", closing="", capitals=False, joins_denials=False)
    for report in generate_reports(seed, 2, EVEN):
        said = arrange(report.statements, plain, report.places)
        findings = [s for s in report.statements if not is_denial(s) and not is_advice(s)]
        assert sorted(s for s in said if not is_denial(s) and not is_advice(s)) == sorted(findings)
        assert MARK.sub("", report.write_as(plain)).split() == " ".join(reword(s, plain) for s in said).split()


def test_a_style_has_more_than_ten_axes_and_each_of_them_shows() -> None:
    """Every habit in the table changes some text: no axis is there for the count."""
    reports = list(generate_reports(8, 250))
    plain = Persona(name="plain", marker="{}.", framing=Framing.VERB, denial="No {}.", advice="{} is recommended.")
    values = load_table("personas")
    assert set(values) == {f.name for f in fields(Persona)} - {"name"}
    assert len(values) > 10
    for axis, choices in values.items():
        styles = [replace(plain, **{axis: _read(axis, choice)}) for choice in set(choices)]  # type: ignore[arg-type]
        assert any(len({r.write_as(style) for style in styles}) > 1 for r in reports), axis


def test_training_and_held_out_personas_never_word_things_alike() -> None:
    """What is measured on held-out personas was not learned by heart."""
    wordings = [{_wording(p) for p in islice(draw_personas(5, part), 400)} for part in Part]
    assert wordings[0].isdisjoint(wordings[1])
    assert all(len(found) > 300 for found in wordings)


def test_layout_and_name_move_no_persona_to_the_other_part() -> None:
    """A held-out wording stays held out as a list, in capitals, and under another name."""
    for persona in pick_personas(6, 50, Part.HELD_OUT):
        moved = replace(
            persona, name="other", marker="-", order=Order.DICTATED, closing="Details above.", capitals=True
        )
        assert moved.part is Part.HELD_OUT


@given(seed=SEEDS, part=PARTS)
def test_the_same_seed_draws_the_same_personas(seed: int, part: Part) -> None:
    """A run can be repeated with the same people."""
    assert pick_personas(seed, 3, part) == pick_personas(seed, 3, part)
    assert len({p.name for p in pick_personas(seed, 3, part)}) == 3


def test_the_three_that_ship_are_personas_like_any_other() -> None:
    """Their LoRAs are named after them."""
    assert set(NAMED) == {"succinct", "elaborate", "numbered"}
    statements = ["There is a 5 mm nodule in the left lung.", "No effusion."]
    for name, persona in NAMED.items():
        assert rewrite(statements, name) == rewrite(statements, persona)


@pytest.mark.parametrize(
    ("habit", "statement", "worded"),
    [
        ({"framing": Framing.BARE}, "There is a nodule in the left lung.", "Nodule in the left lung."),
        ({"framing": Framing.EXISTS}, "Nodule is seen in the left lung.", "There is a nodule in the left lung."),
        (
            {"framing": Framing.VERB, "seen": "noted"},
            "Nodules in the left lung, stable.",
            "Nodules are noted in the left lung, stable.",
        ),
        (
            {"framing": Framing.VERB},
            "Interval development of a mass in the liver.",
            "Interval development of a mass is seen in the liver.",
        ),
        (
            {"framing": Framing.VERB},
            "Moderate to severe gliosis in the pons.",
            "Moderate to severe gliosis is seen in the pons.",
        ),
        ({"telegraphic": True}, "The nodule is unchanged in the left lung.", "The nodule unchanged in left lung."),
        ({"denial": "No evidence of {}."}, "There is no fracture.", "No evidence of fracture."),
        (
            {"denial": "Negative for {}."},
            "No fracture or dislocation is seen.",
            "Negative for fracture or dislocation.",
        ),
        ({"consistent": "compatible with"}, "Mass consistent with abscess.", "Mass compatible with abscess."),
        ({"unchanged": "stable"}, "Nodule, unchanged from the prior study.", "Nodule, stable from the prior study."),
        ({"reference": "compared to prior"}, "Nodule, larger than before.", "Nodule, larger compared to prior."),
        ({"advice": "{} is recommended."}, "Recommend MRI in 3 months.", "MRI is recommended in 3 months."),
        ({"advice": "Recommend {}."}, "Clinical correlation is recommended.", "Recommend clinical correlation."),
        ({"times": "by"}, "A 4 x 5 mm cyst.", "A 4 by 5 mm cyst."),
    ],
)
def test_each_habit_words_a_statement_its_own_way(habit: dict[str, object], statement: str, worded: str) -> None:
    """One habit at a time, the rest as dictated."""
    assert reword(statement, replace(NEUTRAL, **habit)) == worded  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statement", "advises"),
    [
        ("Recommend MRI.", True),
        ("Suggest clinical correlation.", True),
        ("Tissue sampling is suggested.", True),
        ("Short-term follow-up is advised.", True),
        ("Correlate with laboratory values.", True),
        ("Findings suggest pneumonia.", False),
        ("Mass, suggestive of lymphoma.", False),
    ],
)
def test_advice_is_told_from_what_a_finding_suggests(statement: str, advises: bool) -> None:
    """Who leaves advice out leaves no finding out."""
    assert is_advice(statement) is advises


def test_order_denials_and_advice_follow_the_persona() -> None:
    """What comes first, and what is left out beside a finding."""
    said, places = ["Mass.", "No effusion.", "Cyst.", "Recommend MRI."], [2, 0, 1, 3]
    assert arrange(said, replace(NEUTRAL, order=Order.DICTATED), places) == [said[1], said[2], said[0], said[3]]
    assert arrange(said, replace(NEUTRAL, order=Order.DENIALS_LAST), places) == [said[0], said[2], said[3], said[1]]
    assert arrange(said, replace(NEUTRAL, keeps_denials=False, keeps_advice=False), places) == [said[0], said[2]]
    assert arrange(["No effusion."], replace(NEUTRAL, keeps_denials=False)) == ["No effusion."]


def test_lists_and_frames_are_laid_around_the_sentences() -> None:
    """Marks, joined denials, opening, closing and capitals change no sentence."""
    style = replace(NEUTRAL, marker="{})", joins_denials=True, opening="Summary:", closing="Details above.")
    assert lay_out(["Mass.", "No clot.", "No effusion."], style) == (
        "Summary:\n1) Mass.\n2) No clot, and no effusion.\nDetails above."
    )
    assert lay_out(["Mass."], replace(NEUTRAL, capitals=True)) == "MASS."


@given(seed=SEEDS)
def test_personas_differ_from_one_another(seed: int) -> None:
    """Drawn styles are many: hardly ever two alike."""
    rng = Random(seed)
    drawn = pick_personas(rng.getrandbits(30), 12, Part.HELD_OUT)
    assert len({replace(p, name="") for p in drawn}) == len(drawn)


def _read(axis: str, choice: object) -> object:
    readers = {"framing": Framing, "order": Order}
    return readers[axis](choice) if axis in readers and isinstance(choice, str) else choice


def _wording(persona: Persona) -> Persona:
    plain = Persona(name="")
    layout = [f.name for f in fields(Persona)][[f.name for f in fields(Persona)].index("marker") :]
    return replace(persona, name="", **{axis: getattr(plain, axis) for axis in layout})
