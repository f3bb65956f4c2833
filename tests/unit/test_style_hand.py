"""A radiologist's hand, read from signed reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.example import StyleExample
from radbridge.style import StyleSentence, read_hand
from radbridge.style.kinds import BUILDS, Trait, read_traits
from radbridge.style.profile import StyleProfile
from radbridge.style.sentences import choose_style

_FINDINGS = (
    "No pneumothorax. There is an 8 mm nodule in the left upper lobe. Small right pleural effusion. "
    "Follow-up CT in 3 months is recommended."
)


def _sign(*impressions: str, findings: str = _FINDINGS) -> list[StyleExample]:
    return [StyleExample(id=f"m{n}", impression=text, findings=findings) for n, text in enumerate(impressions)]


def _profile(*impressions: str, findings: str = _FINDINGS) -> StyleProfile:
    hand = read_hand(_sign(*impressions, findings=findings))
    assert hand
    return hand.profile


def test_nobody_has_no_hand() -> None:
    """Without a signed report, or with empty ones only, there is no hand at all."""
    assert read_hand([]) is None
    assert read_hand(_sign("", " ")) is None


@pytest.mark.parametrize(
    ("text", "marker"),
    [
        ("1. Nodule.\n2. Effusion.", "{}."),
        ("1) Nodule.\n2) Effusion.", "{})"),
        ("- Nodule.\n- Effusion.", "-"),
        ("• Nodule.\n• Effusion.", "•"),
        ("In summary:\n1. Nodule.\n2. Effusion.", "{}."),
        ("Nodule. Effusion.", ""),
    ],
)
def test_a_marker_is_known_from_the_first_report(text: str, marker: str) -> None:
    """One signed list is enough to write lists."""
    assert _profile(text).marker == marker


def test_single_items_tell_whether_they_are_numbered() -> None:
    """Lists where there are several, a bare sentence where there is one: both habits are learnt."""
    profile = _profile("1. Nodule.\n2. Effusion.", "Nodule.", "Effusion.")
    assert (profile.marker, profile.marks_single) == ("{}.", False)


def test_opening_closing_and_capitals() -> None:
    """One report is enough to frame a text as its signer does, for as long as no other one differs."""
    signed = "IN SUMMARY: 8 MM NODULE. SMALL EFFUSION. DETAILS AS DESCRIBED ABOVE."
    profile = _profile(signed)
    assert (profile.opening, profile.closing, profile.capitals) == ("IN SUMMARY:", "DETAILS AS DESCRIBED ABOVE.", True)
    other = _profile(signed, "8 mm nodule. Small effusion.")
    assert (other.opening, other.closing, other.capitals) == ("", "", False)


@pytest.mark.parametrize(
    "claim",
    [
        "Recommend CT.",
        "Recommend MRI.",
        "Follow-up suggested.",
        "Further evaluation suggested.",
        "Findings discussed.",
        "Result discussed with patient.",
        "Compared with the prior study.",
        "Suspicious.",
        "Stable overall.",
        "Chest:",
        "Positive:",
    ],
)
@pytest.mark.parametrize("form", ["{} Mass in the left lung.", "Mass in the left lung. {}"])
def test_what_claims_something_never_frames_another_draft(claim: str, form: str) -> None:
    """However often it was signed, advice, a communication or a finding of one patient isn't said of the next."""
    hand = read_hand(_sign(*[form.format(claim)] * 5))
    assert hand
    assert hand.lay_out(["No acute disease."]) == "No acute disease."


def test_leaving_out_takes_five_reports() -> None:
    """Who denied nothing beside findings four times may not have been asked; after five that is the habit."""
    signed = "8 mm nodule in the left upper lobe. Small right pleural effusion."
    assert _profile(*[signed] * 4).most_beside is None
    assert _profile(*[signed] * 5).most_beside == 0


def test_one_long_report_is_no_habit() -> None:
    """As many denials stand beside findings as in three of four reports: one that denies more changes nothing."""
    signed = "8 mm nodule in the left upper lobe. Small right pleural effusion."
    more = f"{signed} No pneumothorax."
    assert _profile(*[signed] * 5, more).most_beside == 0
    assert _profile(*[signed] * 3, more, more).most_beside == 1
    assert _profile(*[more] * 7, f"{more} No rib fracture.").most_beside == 1


def test_normal_reports_tell_how_much_is_denied() -> None:
    """Two normal reports with one sentence each are enough to say one."""
    findings = "The lungs are clear. No effusion. No pneumothorax. The heart is normal."
    assert _profile("No acute disease.", findings=findings).most_alone is None
    assert _profile(*["No acute disease."] * 2, findings=findings).most_alone == 1


def test_denials_behind_findings_are_noticed() -> None:
    """Where denials stand is learnt from reports that have both."""
    assert _profile("8 mm nodule. No effusion.", "No effusion.").denials_last
    assert not _profile("No effusion. 8 mm nodule.").denials_last
    assert not _profile("No effusion. No fracture.").denials_last


@given(st.lists(st.text(max_size=80), min_size=1, max_size=4), st.text(max_size=80))
def test_any_text_gives_a_hand(impressions: list[str], statement: str) -> None:
    """Whatever was signed, reading it doesn't fail, and what it shows was signed."""
    hand = read_hand(_sign(*impressions, findings=statement))
    signed = "".join(impressions).casefold()
    for sentence in hand.choose_style(statement) if hand else ():
        assert "".join(sentence.text.casefold().split()) in "".join(signed.split())


@given(st.text(max_size=60))
def test_every_statement_has_a_build(text: str) -> None:
    """A statement denies, advises or states a finding."""
    assert read_traits(text) & BUILDS


@pytest.mark.parametrize(
    ("text", "trait"),
    [
        ("No evidence of fracture.", Trait.DENIAL),
        ("Follow-up is recommended.", Trait.ADVICE),
        ("Mass concerning for metastasis.", Trait.SUSPICIOUS),
        ("Findings are compatible with pneumonia.", Trait.CONSISTENT),
        ("Nodule, unchanged from prior.", Trait.REFERENCE),
        ("3 x 4 cm mass.", Trait.TIMES),
    ],
)
def test_traits(text: str, trait: Trait) -> None:
    """The ways to deny, hedge, compare and advise are told apart."""
    assert trait in read_traits(text)


def test_a_denial_is_worded_like_a_denial() -> None:
    """The build counts before the words, and the nearest stands last."""
    sentences = [
        StyleSentence(text=text, id=f"m{n}")
        for n, text in enumerate(
            ("Negative for hydronephrosis.", "Pleural effusion is seen on the right.", "Negative for rib fracture.")
        )
    ]
    chosen = choose_style("No pleural effusion.", sentences)
    assert [s.text for s in chosen] == ["Negative for hydronephrosis.", "Negative for rib fracture."]
    assert choose_style("Large pleural effusion.", sentences)[-1].id == "m1"
    assert choose_style("No pleural effusion.", sentences, 0) == ()
