"""A signer's habits laid over a draft: what may change, and what never does."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.coarse import Kind, Statement, draft_coarse
from radbridge.style.layout import arrange, lay_out
from radbridge.style.profile import StyleProfile
from radbridge.text import read_words

_TEXTS = (
    "No pulmonary embolism.",
    "No pneumothorax.",
    "No rib fracture.",
    "8 mm nodule in the left upper lobe.",
    "Small right pleural effusion.",
    "Recommend follow-up CT in 3 months.",
    "The aorta is normal in caliber.",
    "Unchanged 2.5 cm cyst in the right kidney.",
)
_STATEMENTS = st.lists(
    st.builds(
        Statement,
        text=st.sampled_from(_TEXTS),
        kind=st.sampled_from(Kind),
        score=st.floats(0, 5),
        index=st.integers(0, 20),
    ),
    max_size=8,
)
_PROFILES = st.builds(
    StyleProfile,
    reports=st.just(20),
    marker=st.sampled_from(("", "{}.", "{})", "-", "•")),
    marks_single=st.booleans(),
    denials_last=st.booleans(),
    joins_denials=st.booleans(),
    opening=st.sampled_from(("", "Summary:")),
    closing=st.sampled_from(("", "Details as described above.")),
    capitals=st.booleans(),
    most_alone=st.none() | st.integers(0, 4),
    most_beside=st.none() | st.integers(0, 4),
)
_SENTENCES = st.lists(st.sampled_from(_TEXTS) | st.text(min_size=1, max_size=30), max_size=6)


@given(_STATEMENTS, _PROFILES)
def test_nothing_abnormal_is_ever_left_out(statements: list[Statement], profile: StyleProfile) -> None:
    """Whatever the habits are, all that is abnormal, changed or advised is said, once, and nothing is made up."""
    said = Counter(arrange(statements, profile))
    assert not Counter(s for s in statements if s.kind not in {Kind.ANSWER, Kind.NORMAL}) - said
    assert not said - Counter(statements)


@given(_STATEMENTS, _PROFILES)
def test_something_is_always_said(statements: list[Statement], profile: StyleProfile) -> None:
    """Habits never leave an empty text where there was one."""
    assert bool(arrange(statements, profile)) == bool(statements)


@given(_STATEMENTS, _PROFILES)
def test_a_critical_answer_is_never_left_out(statements: list[Statement], profile: StyleProfile) -> None:
    """Who leaves denials out still answers the question about an embolism."""
    asked = [s for s in statements if s.kind is Kind.ANSWER and s.score >= 3 and "embolism" in s.text]
    assert all(s in arrange(statements, profile) for s in asked)


def test_the_answer_to_a_critical_question_stands_beside_findings() -> None:
    """The coarse stage's own answer to "rule out PE" stays for a signer who drops denials; an idle denial goes."""
    coarse = draft_coarse(
        "No pulmonary embolism. There is a 9 mm nodule in the left upper lobe. Large right pleural effusion.",
        indication="Rule out PE.",
    )
    dropping = StyleProfile(reports=20, most_beside=0)
    assert any("embolism" in s.text for s in arrange(coarse.statements, dropping))
    idle = Statement(text="No rib fracture.", kind=Kind.NORMAL, score=0.2, index=9)
    assert idle not in arrange([*coarse.statements, idle], dropping)


@given(_STATEMENTS, st.lists(st.text(max_size=40), max_size=6))
def test_no_reports_change_nothing(statements: list[Statement], sentences: list[str]) -> None:
    """The profile of nobody leaves the draft exactly as it is without a style memory."""
    assert arrange(statements, StyleProfile()) == statements
    assert lay_out(sentences, StyleProfile()) == " ".join(s for s in sentences if s)


@given(_SENTENCES, _PROFILES)
def test_no_word_comes_or_goes(sentences: list[str], profile: StyleProfile) -> None:
    """But for opening, closing, list numbers and the joints of denials, a laid-out text has just the words it got."""
    laid = lay_out(sentences, profile)
    mine = Counter(read_words(laid)) - Counter(read_words(f"{profile.opening} {profile.closing}"))
    given_ = Counter(w for s in sentences for w in read_words(s))
    numbers = Counter(str(n) for n in range(1, len(sentences) + 1)) if "{}" in profile.marker else Counter[str]()
    assert not given_ - mine
    assert set(mine - given_ - numbers) <= {"and"}


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        (StyleProfile(marker="{}."), "1. No fracture.\n2. No effusion.\n3. 5 mm nodule."),
        (StyleProfile(marker="-", joins_denials=True), "- No fracture, and no effusion.\n- 5 mm nodule."),
        (
            StyleProfile(opening="Summary:", closing="Details above.", capitals=True),
            "SUMMARY: NO FRACTURE. NO EFFUSION. 5 MM NODULE. DETAILS ABOVE.",
        ),
    ],
)
def test_habits_are_seen(profile: StyleProfile, text: str) -> None:
    """List marks, joined denials, opening, closing and capitals come out as they are signed."""
    assert lay_out(["No fracture.", "No effusion.", "5 mm nodule."], profile) == text


def test_denials_go_where_the_signer_puts_them() -> None:
    """Who denies last does so in a draft too, and the rest keeps its order."""
    coarse = draft_coarse("No pulmonary embolism. There is a 9 mm nodule in the left lung.", indication="Rule out PE.")
    said = arrange(coarse.statements, StyleProfile(denials_last=True))
    assert [s.text for s in said] == [s.text for s in reversed(coarse.statements)]


def test_a_single_item_may_stand_bare() -> None:
    """Who numbers lists only doesn't number a single statement."""
    assert lay_out(["No fracture."], StyleProfile(marker="{}.", marks_single=False)) == "No fracture."


def test_a_micro_sign_stays_small() -> None:
    """In capitals a micrometre doesn't turn into what reads as a millimetre."""
    assert not re.search("MM|ΜM", lay_out(["5 µm deposit."], StyleProfile(capitals=True)))
