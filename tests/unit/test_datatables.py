"""What the reports are that were measured on."""

from __future__ import annotations

from radbridge.evaluation.datatables import DataCounter
from radbridge.evaluation.rows import Reference


def test_counts() -> None:
    """All reports first, then the modalities from the commonest on; a section that is missing isn't in its mean."""
    counter = DataCounter()
    for n in range(3):
        counter.add(
            Reference(
                id=str(n),
                findings="Clear lungs. No effusion seen." if n else "Clear.",
                impression="Normal chest.",
                indication="Cough and fever." if n == 2 else "",
                modality="CT" if n else "US",
            )
        )
    whole, ct, us = counter.close()

    assert (whole.modality, whole.reports, whole.share) == (None, 3, 1.0)
    assert (ct.modality, ct.reports, us.modality, us.reports) == ("CT", 2, "US", 1)
    assert (ct.sections["findings"].words, ct.sections["findings"].sentences) == (5.0, 2.0)
    assert (whole.sections["indication"].reports, whole.sections["indication"].words) == (1, 3.0)
    assert "indication" not in us.sections


def test_nothing() -> None:
    """Without a report there is nothing to tell."""
    assert DataCounter().close() == ()
