"""The blind cases of the guard can be read, and are enough to say something of each kind. Their score isn't tested."""

from __future__ import annotations

import tomllib
from collections import Counter

import pytest

from radbridge.draft import Flag, FlagKind
from tests.bench.guard_cases import CASES, Case, Checked, read_cases, tally

ERRORS = frozenset(FlagKind) - {
    FlagKind.CONTRADICTION,  # it is the case's, whatever the draft says
    FlagKind.CRITICAL,
    FlagKind.INSTRUCTION,
    FlagKind.CONTEXT_CUT,
    FlagKind.LEFT_OUT,
}
MANY = {FlagKind.LATERALITY: 8, FlagKind.NEGATION: 8, FlagKind.CERTAINTY: 8, FlagKind.MEASUREMENT: 8}
KEYS = {"findings", "draft", "wrong", "also", "sex", "age", "indication", "comparison", "note"}


def test_each_case_is_complete_and_names_kinds_of_errors() -> None:
    """A case has its texts and a note, an error of a kind that the guard has, and no key that nobody reads."""
    for row in tomllib.loads(CASES.read_text(encoding="utf-8"))["case"]:
        assert row.keys() <= KEYS
        assert all(row[name].strip() for name in ("findings", "draft", "note"))
        assert row.get("sex", "M") in ("M", "F")
        assert 0 <= row.get("age", 0) < 120
        assert {row["wrong"], *row.get("also", [])} - {""} <= ERRORS


def test_a_true_draft_names_no_kind() -> None:
    """What isn't wrong has no kind that would be right to say."""
    assert all(not case.right for case in read_cases() if not case.wrong)


def test_there_are_enough_of_each_kind() -> None:
    """Each kind of error has five cases or more, four of them eight, the true drafts fifty; none comes twice."""
    cases = read_cases()
    counts = Counter(case.wrong for case in cases)
    assert all(counts[kind] >= MANY.get(kind, 5) for kind in ERRORS)
    assert counts[""] >= 50
    assert len({(case.findings, case.draft) for case in cases}) == len(cases)


@pytest.mark.parametrize(("kind", "named"), [("laterality", 1), ("site", 1), ("count", 0)])
def test_an_error_is_found_by_its_kind_or_one_as_right(kind: str, named: int) -> None:
    """A flag of another kind tells that something is wrong, but isn't counted as having found the error."""
    right = frozenset(("laterality", "site"))
    case = Case(findings="f", draft="d", wrong="laterality", right=right, told={}, note="n")
    rows = tally([Checked(case=case, flags=(Flag(kind=kind, message="m"),))])
    assert [(name, got.hits, flagged.hits) for name, got, flagged, _ in rows[:2]] == [
        ("laterality", named, 1),
        ("all errors", named, 1),
    ]
