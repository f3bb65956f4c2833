"""What several measures read of one pair.

The last ones read are kept: every measure sees a batch in turn, and every system is of the same reports.
"""

from __future__ import annotations

from functools import lru_cache

from radbridge.draft import Flag
from radbridge.entities.labels import read_labels
from radbridge.evaluation.measure import BATCH
from radbridge.evaluation.rows import Pair, Reference
from radbridge.guard import Guard
from radbridge.guard.policy import GuardPolicy

labels_of = lru_cache(maxsize=8 * BATCH)(read_labels)
"""The labels of a draft, an impression, findings or an indication."""


@lru_cache(maxsize=BATCH)
def flags_of(pair: Pair) -> tuple[Flag, ...]:
    """What the guard says of the draft."""
    return _read(pair.reference).check(pair.draft.draft)


@lru_cache(maxsize=BATCH)
def _read(told: Reference) -> Guard:
    return Guard(
        told.findings,
        indication=told.indication,
        comparison=told.comparison,
        sex=told.sex,
        modality=told.modality,
        age=told.age,
    )


def is_blocked(pair: Pair) -> bool:
    """Whether the guard's default policy would keep the draft back."""
    return bool(GuardPolicy().judge(flags_of(pair)).blocking)
