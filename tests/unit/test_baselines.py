"""What retrieval alone writes."""

from __future__ import annotations

import pytest

from radbridge.evaluation.baselines import BASELINES, Baselines, pair_baseline
from radbridge.evaluation.rows import Reference

TRAIN = (
    Reference(id="a", findings="Clear lungs. No effusion.", impression="No acute disease."),
    Reference(id="b", findings="Clear lungs. Heart is normal.", impression="No acute disease."),
    Reference(id="c", findings="Small left pleural effusion.", impression="Small left effusion."),
    Reference(id="d", findings="Small left effusion and opacity.", impression="Small left pleural effusion."),
    Reference(id="f", findings="A small effusion.", impression="Small left pleural effusion."),
    Reference(id="e", findings="Old rib fracture.", impression="Rib fracture."),
)


def write(name: str, findings: str, id_: str = "x") -> str:
    return BASELINES[name](Baselines(TRAIN), Reference(id=id_, findings=findings, impression="Signed."))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("majority", "No acute disease."),
        ("nearest", "Small left effusion."),
        ("medoid10", "Small left pleural effusion."),
        ("whole_findings", "Small left pleural effusion today."),
    ],
)
def test_each(name: str, text: str) -> None:
    """The commonest impression, that of the most similar findings, the one most like its neighbours, the findings."""
    assert write(name, "Small left pleural effusion today.") == text


def test_never_its_own_text() -> None:
    """A report that is among those to copy from doesn't get its own signed impression."""
    assert write("nearest", "Old rib fracture.", id_="e") != "Rib fracture."
    assert write("nearest", "Old rib fracture.") == "Rib fracture."


def test_one_report_to_copy_from() -> None:
    """With nothing but the report itself to copy from the commonest impression is left."""
    baselines = Baselines(TRAIN[5:])

    assert [BASELINES[name](baselines, TRAIN[5]) for name in ("nearest", "medoid10")] == ["Rib fracture."] * 2
    with pytest.raises(ValueError, match="no report"):
        Baselines([])


def test_pairs() -> None:
    """Each reference gets one draft, in order."""
    pairs = list(pair_baseline("majority", Baselines(TRAIN), TRAIN))

    assert [pair.number for pair in pairs] == [1, 2, 3, 4, 5, 6]
    assert all(pair.draft.id == pair.reference.id and pair.draft.stage == "majority" for pair in pairs)
