"""The groups that reports are told apart by: where a system serves some patients or readers worse than others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from radbridge.evaluation.rows import Reference

_AGE_BANDS = ((18, "0-17"), (40, "18-39"), (65, "40-64"), (80, "65-79"))
_OLDEST = "80+"


def tell_age_band(age: int | None) -> str:
    """Years as a band; empty for an age that nobody told."""
    if age is None:
        return ""
    return next((band for below, band in _AGE_BANDS if age < below), _OLDEST)


GROUPS: Mapping[str, Callable[[Reference], str]] = {
    "modality": lambda reference: reference.modality,
    "body_system": lambda reference: reference.body_system,
    "sex": lambda reference: reference.sex,
    "age_band": lambda reference: tell_age_band(reference.age),
    "institution": lambda reference: reference.institution,
    "radiologist": lambda reference: reference.radiologist,
    "persona": lambda reference: reference.persona,
}
"""Each group's name, and which level of it a report is of. An empty level: not told, and in no comparison."""
