"""Tokens of pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.fhir.search import page
from radbridge_adapters.fhir.search.page import Cursor, CursorBox
from radbridge_adapters.resources.outcome import Issues

BOX = CursorBox(b"secret")
CURSOR = Cursor(type="Patient", client="ris", pairs=[("identifier", "900001")], until=7, after=(3, "abc"))


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4), st.integers(0, 2**40), st.text(max_size=10))
def test_there_and_back(pairs: list[tuple[str, str]], until: int, key: str) -> None:
    """A token opens to the cursor that it was made of, also in another process with the same secret."""
    cursor = Cursor(type="Patient", client="ris", pairs=pairs, until=until, after=(key, "abc"))
    assert CursorBox(b"secret").open(BOX.seal(cursor), type="Patient", client="ris") == cursor


def test_it_tells_nothing() -> None:
    """Neither the token nor the cursor's repr shows what was searched for."""
    assert "900001" not in BOX.seal(CURSOR) + repr(CURSOR)


@pytest.mark.parametrize(("type", "client"), [("Patient", "other"), ("Observation", "ris")])
def test_it_is_theirs_alone(type: str, client: str) -> None:
    """Another client, or another type, can't go on with it."""
    with pytest.raises(Issues) as caught:
        BOX.open(BOX.seal(CURSOR), type=type, client=client)
    assert caught.value.status == 400


@given(st.text(max_size=60))
def test_no_other_text_opens(token: str) -> None:
    """What isn't ours is an issue."""
    with pytest.raises(Issues):
        BOX.open(token, type="Patient", client="ris")


def test_an_old_page_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a day the page is 410: search again."""
    sealed = BOX.seal(CURSOR)
    monkeypatch.setattr(page, "LIFE_S", -1)
    with pytest.raises(Issues) as caught:
        BOX.open(sealed, type="Patient", client="ris")
    assert caught.value.status == 410
