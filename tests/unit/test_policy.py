"""The site's policy: what is done about each flag."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.config import Action
from radbridge.draft import Flag, FlagKind, Severity
from radbridge.guard.policy import GuardPolicy, Judgement, name_kind

kinds = st.sampled_from([*FlagKind, "of_a_newer_server"])
flags = st.lists(
    st.builds(Flag, kind=kinds, message=st.text(max_size=5), severity=st.sampled_from(Severity)), max_size=8
)
policies = st.builds(
    GuardPolicy,
    site=st.dictionaries(
        st.sampled_from(FlagKind), st.dictionaries(st.sampled_from(Severity), st.sampled_from(Action)), max_size=8
    ),
)


def flag(kind: str, severity: Severity = Severity.CRITICAL) -> Flag:
    return Flag(kind=kind, message="made up", severity=severity)


@given(policies, flags)
def test_a_flag_has_one_fate(policy: GuardPolicy, found: list[Flag]) -> None:
    """An ignored flag never travels, every other does, and exactly those that the policy blocks keep the draft back."""
    judged = policy.judge(found)
    actions = {f: policy.action_of(f) for f in found}
    assert sorted(map(repr, judged.flags)) == sorted(repr(f) for f in found if actions[f] is not Action.IGNORE)
    assert sorted(map(repr, judged.blocking)) == sorted(repr(f) for f in found if actions[f] is Action.BLOCK)
    assert bool(judged.reason) == bool(judged.blocking)


@given(policies, flags)
def test_the_gravest_goes_first(policy: GuardPolicy, found: list[Flag]) -> None:
    """Flags travel critical ones first, and in the order of the checks within a severity."""
    order = [Severity.CRITICAL, Severity.WARNING, Severity.INFO]
    travelling = [f for f in found if policy.action_of(f) is not Action.IGNORE]
    expected = [f for severity in order for f in travelling if f.severity is severity]
    assert list(policy.judge(found).flags) == expected


@pytest.mark.parametrize("kind", FlagKind)
@pytest.mark.parametrize("severity", Severity)
def test_defaults(kind: FlagKind, severity: Severity) -> None:
    """Without a word from the site critical contradictions and identifiers block, and nothing else does."""
    blocking = {"laterality", "negation", "measurement", "sex_or_age", "contradiction", "identifier"}
    expected = Action.BLOCK if kind in blocking and severity is Severity.CRITICAL else Action.FLAG
    assert GuardPolicy().action_of(flag(kind, severity)) is expected


def test_a_site_overrides_what_it_names() -> None:
    """Severities that the site doesn't name keep their default."""
    policy = GuardPolicy(site={FlagKind.LATERALITY: {Severity.WARNING: Action.IGNORE}})
    assert policy.action_of(flag("laterality")) is Action.BLOCK
    assert policy.action_of(flag("laterality", Severity.WARNING)) is Action.IGNORE
    assert policy.action_of(flag("laterality", Severity.INFO)) is Action.FLAG


def test_an_unknown_kind_travels_and_is_counted_as_other() -> None:
    """A newer server's kind is shown to the reader, and makes no label of its own."""
    unknown = flag("of_a_newer_server")
    assert GuardPolicy().judge([unknown]) == Judgement(flags=(unknown,))
    assert name_kind(unknown) == "other"
    assert name_kind(flag("site")) == "site"


def test_the_reason_names_kinds_and_no_text() -> None:
    """Why a draft is kept back can be logged: each kind once, no message."""
    judged = GuardPolicy().judge([flag("negation"), flag("laterality"), flag("negation"), flag("omitted")])
    assert judged.reason == "kept back by the guard: negation, laterality"
