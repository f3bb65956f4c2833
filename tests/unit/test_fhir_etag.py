"""Entity tags of versions."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.fhir.etag import format_etag, matches, parse_if_match
from radbridge_adapters.resources.outcome import Issues


@given(st.integers(1, 10**9))
def test_there_and_back(version: int) -> None:
    """What we give out is read as the version it is, weak or strong or bare."""
    tag = format_etag(version)
    assert {parse_if_match(t) for t in (tag, tag.removeprefix("W/"), str(version), f" {tag} ")} == {version}
    assert matches(tag, version)
    assert matches(f'"other", {tag}', version)
    assert not matches(tag, version + 1)


@pytest.mark.parametrize("tag", ['W/"abc"', '"0"', "-1", '"01"'])
def test_a_tag_that_was_never_ours(tag: str) -> None:
    """It names a version that there is none of: the update is refused for its version, not for its form."""
    assert parse_if_match(tag) == 0


@given(st.text())
def test_any_header(text: str) -> None:
    """Any header is a version, none, or an issue."""
    version = -1
    with contextlib.suppress(Issues):
        version = parse_if_match(text) or 0
    assert version >= -1
