"""Reports for training: what a generated radiologist signed, and drafts that somebody else would have written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from radbridge.edit import judge, measure_distance
from radbridge.learning import TrainingReport, Use
from radbridge_training.synth import Part, generate_reports, pick_personas
from radbridge_training.synth.mixture import PLAIN


def make_reports(seed: int, count: int, *, radiologist: str = "1001") -> Iterator[TrainingReport]:
    """`count` reports of one drawn persona in the order of signing, each of a patient of its own."""
    (persona,) = pick_personas(seed, 1, Part.HELD_OUT)
    for order, report in enumerate(generate_reports(seed, count, replace(PLAIN, personas=(persona,))), 1):
        signed, draft = report.write_as(persona), report.impressions["elaborate"]
        distance = measure_distance(draft, signed)
        yield TrainingReport(
            id=hashlib.sha256(f"{seed} {order}".encode()).hexdigest()[:16],
            order=order,
            radiologist=radiologist,
            patient=f"p{order}",
            findings=report.findings,
            signed=signed,
            indication=report.indication,
            comparison=report.comparison,
            prior=report.prior,
            modality=report.modality,
            sex=report.sex,
            age=report.age,
            draft=draft,
            outcome=judge(distance, delivered=True).value,
            distance=distance,
            use=Use.PREFERENCE,
        )
