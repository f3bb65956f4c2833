"""What report states mean."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.hl7v2.status import Meaning, StatusTable, Verdict

UNSIGNED = Verdict(meaning=Meaning.UNSIGNED)
SIGNED = Verdict(meaning=Meaning.SIGNED)
CORRECTED = Verdict(meaning=Meaning.CORRECTED)
TABLE = StatusTable({})

codes = st.sampled_from([*"OISAPRCFXYZMNUWD", "", "?"])


def withdrawn(reason: str) -> Verdict:
    return Verdict(meaning=Meaning.WITHDRAWN, reason=reason)


@pytest.mark.parametrize(
    ("result", "observations", "verdict"),
    [
        ("R", ["R"], UNSIGNED),
        ("P", ["P", "P"], UNSIGNED),
        ("R", ["F"], UNSIGNED),
        ("F", ["F"], SIGNED),
        ("F", ["R"], SIGNED),
        ("F", [], SIGNED),
        ("C", ["F"], CORRECTED),
        ("F", ["C"], CORRECTED),
        ("", ["F", "F"], SIGNED),
        ("", ["F", "R"], UNSIGNED),
        ("", ["F", "C"], CORRECTED),
        ("?", ["F"], SIGNED),
        ("", [], None),
        ("", [""], None),
        ("R", ["U"], SIGNED),
        ("F", ["U"], SIGNED),
        ("C", ["U"], CORRECTED),
        ("X", [], withdrawn("not_obtainable")),
        ("F", ["W"], withdrawn("wrong_patient")),
        ("R", ["R", "W"], withdrawn("wrong_patient")),
        ("R", ["D", "D"], withdrawn("deleted")),
        ("R", ["D", "R"], UNSIGNED),
        ("F", ["X"], withdrawn("not_obtainable")),
        ("r", ["r"], UNSIGNED),
    ],
)
def test_results(result: str, observations: Sequence[str], verdict: Verdict | None) -> None:
    """OBR-25 and the OBX-11 together make one verdict."""
    assert TABLE.judge_result(result, observations) == verdict


@pytest.mark.parametrize(
    ("completion", "availability", "verdict"),
    [
        *((code, "AV", UNSIGNED) for code in ("DI", "DO", "IP", "IN", "PA", "", "??")),
        ("AU", "AV", SIGNED),
        ("LA", "", SIGNED),
        ("AU", "CA", withdrawn("document_cancelled")),
        ("IP", "OB", withdrawn("document_cancelled")),
    ],
)
def test_documents(completion: str, availability: str, verdict: Verdict) -> None:
    """TXA-17 and TXA-19 make one verdict; unsigned in doubt."""
    assert TABLE.judge_document(completion, availability) == verdict


def test_habits() -> None:
    """A site's entry wins, for its field alone."""
    table = StatusTable({"OBR-25.P": "signed", "OBX-11.A": "corrected", "TXA-17.DO": "signed", "OBR-25.Y": "withdrawn"})
    assert table.judge_result("P", ["P"]) == SIGNED
    assert table.judge_result("", ["P"]) == UNSIGNED
    assert table.judge_result("", ["A"]) == CORRECTED
    assert table.judge_document("DO", "") == SIGNED
    assert table.judge_result("Y", []) == withdrawn("deleted")


@given(codes, st.lists(codes, max_size=4))
def test_signed_needs_a_signed_state(result: str, observations: list[str]) -> None:
    """No report counts as signed unless a field says F, C or U."""
    verdict = TABLE.judge_result(result, observations)
    if verdict and verdict.meaning in (Meaning.SIGNED, Meaning.CORRECTED):
        assert {result, *observations} & set("FCU")
