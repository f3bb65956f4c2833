"""The editor of the learning loop's bench: what it makes of a draft is what a draft is worth there."""

from __future__ import annotations

import pytest

from radbridge.edit import measure_distance
from tests.bench.loop.editor import edit, is_poisoned, poison, read_coarse
from tests.bench.loop.people import Signer, make_signers

CASES = [(signer, number) for signer in make_signers(2, 3) for number in range(3)]
EACH = pytest.mark.parametrize(("signer", "number"), CASES, ids=[f"{s.id}-{n}" for s, n in CASES])


@EACH
def test_what_they_would_write_stays(signer: Signer, number: int) -> None:
    """A draft in the radiologist's own style, of what the findings hold, is hardly touched; edited twice is once."""
    case = signer.cases[number]
    own = edit("", case, signer.persona)
    again = edit(own, case, signer.persona)
    assert measure_distance(own, again) <= 0.1
    assert edit(again, case, signer.persona) == again


@EACH
def test_what_the_case_does_not_hold_goes(signer: Signer, number: int) -> None:
    """A finding that nobody dictated is in no signed text, whatever the draft says of it."""
    case = signer.cases[number]
    signed = edit(f"{read_coarse(case).text} Large zebra fracture of the moon.", case, signer.persona)
    assert "zebra" not in signed.lower()
    assert signed == edit(read_coarse(case).text, case, signer.persona)


def test_errors_are_told_from_wording() -> None:
    """The other side and a lost denial are errors; another order of words is none."""
    said = "No evidence of a nodule in the left lung."
    assert not is_poisoned(said, "There is no nodule in the left lung.")
    assert poison(said) == "a nodule in the right lung."
    assert is_poisoned("No evidence of a nodule in the right lung.", said)
    assert is_poisoned("A nodule in the left lung.", said)
