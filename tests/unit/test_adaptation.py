"""Simulated radiologists for the test of the style memory."""

from __future__ import annotations

from radbridge_training.adaptation import simulate
from radbridge_training.synth import Part, pick_personas


def test_radiologists_are_strangers_to_training() -> None:
    """Their wordings are held out, their reports their own, and what is asked was never among what they signed."""
    people = list(simulate(5, 3, signed=2, asked=1))
    names = [p.name for p in pick_personas(5, 3, Part.HELD_OUT)]
    assert [row["radiologist"] for who in people for row in (*who.signed, *who.asked)] == [
        name for name in names for _ in range(3)
    ]
    rows = [row for who in people for row in (*who.signed, *who.asked)]
    assert len({row["id"] for row in rows}) == len({row["findings"] for row in rows}) == 9
    assert people == list(simulate(5, 3, signed=2, asked=1))
