"""What makes a case urgent, and that urgency starves nobody."""

from __future__ import annotations

import pytest

from radbridge.entities import read_entities
from radbridge.guard.critical import is_critical, mentions_critical
from radbridge_training.synth import generate_reports


@pytest.mark.parametrize(
    "findings",
    [
        "Clear lungs. Large right pneumothorax.",
        "Acute pulmonary emboli in both lower lobes.",
        "FINDINGS: Free intraperitoneal air.",
        "Possible aortic dissection.",
        "No effusion. There is no flow in the left testis.",
        "Acute SDH.",
    ],
)
def test_a_critical_finding_is_heard(findings: str) -> None:
    """A critical finding that is affirmed, even as possible, is heard wherever it stands."""
    assert mentions_critical(findings)


@pytest.mark.parametrize(
    "findings", ["", "No pneumothorax or hemorrhage.", "6 mm nodule.", "[ ] *** 12", "x" * 200_000]
)
def test_nothing_critical(findings: str) -> None:
    """A denied finding, an ordinary one and no text at all are not urgent."""
    assert not mentions_critical(findings)


def test_reading_less_hears_as_much() -> None:
    """Only the statements that name something critical are read, and what is heard is what the whole text tells."""
    heard = []
    for report in generate_reports(seed=3, count=150):
        whole = any(e.present and is_critical(e) for e in read_entities(report.findings).entities)
        heard.append(mentions_critical(report.findings))
        assert heard[-1] == whole, report.findings
    assert any(heard)
    assert not all(heard)
