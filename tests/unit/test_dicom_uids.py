"""UIDs of what is written: stable, apart, and within the standard's bounds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from radbridge.case import CaseKey
from radbridge_adapters.dicom.encoding.values import is_uid
from radbridge_adapters.dicom.writing import uids

TEXT = st.text(max_size=80)
MADE: tuple[Callable[[str, str], str], ...] = (
    uids.draft_uid,
    uids.series_uid,
    lambda a, b: uids.study_uid(CaseKey(accession=a, issuer=b)),
    lambda a, b: uids.note_uid(f"{a}|{b}"),
    lambda a, b: uids.note_series_uid(f"{a}|{b}"),
    lambda a, b: uids.device_uid(f"{a}|{b}"),
)


@given(TEXT, TEXT)
def test_every_uid_is_valid_stable_and_of_its_own_kind(a: str, b: str) -> None:
    """Whatever the names are, each kind of UID is a valid one, the same each time, and no other kind's."""
    made = [make(a, b) for make in MADE]
    assert made == [make(a, b) for make in MADE]
    assert len(set(made)) == len(made)
    assert all(UID(uid).is_valid and is_uid(uid) for uid in made)


@given(TEXT, TEXT, TEXT, TEXT)
def test_different_names_give_different_uids(a: str, b: str, c: str, d: str) -> None:
    """Two drafts share a UID only when draft and destination are the same; no way of joining names mixes them up."""
    assert (uids.draft_uid(a, b) == uids.draft_uid(c, d)) is ((a, b) == (c, d))


@pytest.mark.parametrize("mark", ["", "/", "//", ":", "1:"])
def test_a_mark_in_a_name_is_no_border(mark: str) -> None:
    """However names are joined, a part of one isn't taken for a part of the other."""
    first, second = (f"b{mark}c", "a"), ("c", f"a{mark}b")
    assert uids.draft_uid(*first) != uids.draft_uid(*second)
    assert uids.draft_uid(f"{mark}b", "a") != uids.draft_uid("b", f"a{mark}") or not mark


@pytest.mark.parametrize("text", ["", "1.", ".1", "1..2", "1.2 ", "1.a", "1.\u0662", "1." + "2" * 64])
def test_what_is_no_uid_is_told(text: str) -> None:
    """A Study Instance UID that a sender made up wrong isn't repeated."""
    assert not is_uid(text)
