"""Which groups fare worse: found where it is so, and not found where it isn't."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radbridge.evaluation.edits import Edits
from radbridge.evaluation.group_panels import tell_difference
from radbridge.evaluation.groups import GROUPS, tell_age_band
from radbridge.evaluation.report import FigureNote
from radbridge.evaluation.rows import Reference
from radbridge.evaluation.subgroups import LEAST, SubgroupRow, call_out, find_differences
from radbridge.evaluation.sums import Groups, Table, group


def draw_table(distances: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Table:
    """A system whose drafts are so far from the signed text."""
    rows = np.zeros((len(distances), Edits.width), dtype=np.float32)
    rows[:, 0], rows[:, 1] = 1.0, distances
    return Table(measures=(Edits(),), columns={"edits": rows})


def make_groups(**levels: list[str]) -> Groups:
    """Reports of such levels."""
    count = len(next(iter(levels.values())))
    blank = Reference(id="1", findings="Clear.", impression="Normal.")
    changes: list[dict[str, Any]] = [{name: told[n] for name, told in levels.items()} for n in range(count)]
    return group(replace(blank, **change) for change in changes)


def test_planted_difference() -> None:
    """Drafts for one modality that are worse are called out, with how much worse; other groups aren't."""
    modalities = ["CT"] * 150 + ["US"] * 50 + ["MR"] * 50
    distances = np.random.default_rng(1).uniform(0.1, 0.5, len(modalities))
    distances[150:200] += 0.25
    groups = make_groups(modality=modalities, institution=[("north", "south", "west")[n % 3] for n in range(250)])
    rows = find_differences(draw_table(distances), groups)
    first, *others = call_out(rows)

    assert (first.group, first.level, first.reports, first.figure) == ("modality", "US", 50, "edit_distance")
    assert first.comparison is not None
    assert first.comparison.difference.value == pytest.approx(0.25, abs=0.05)
    assert all(row.group == "modality" for row in others)
    assert [row.level for row in rows if row.group == "modality"] == ["CT", "MR", "US"]

    note = FigureNote(name="edit_distance", title="Edit distance", better="less", unit="%", part="edit")
    said = tell_difference(first, note)
    assert said.startswith("Edit distance for modality US (50 reports) is 2")
    assert "points above the others" in said
    assert said.endswith("after correction")


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_correction(seed: int) -> None:
    """A corrected p value is never under the plain one, and never over the number of tests times it."""
    rng = np.random.default_rng(seed)
    levels = [str(level) for level in rng.integers(0, 4, 120)]
    rows = find_differences(
        draw_table(rng.uniform(0, 1, 120)), make_groups(radiologist=levels, persona=levels), seed=seed
    )
    tested = [(row.comparison.p, row.p_corrected) for row in rows if row.comparison]

    assert len(tested) >= 2
    smallest = min(tested, key=lambda pair: pair[0] or 0.0)
    assert smallest[1] == min(1.0, (smallest[0] or 0.0) * len(tested))
    for p, corrected in tested:
        assert p is not None
        assert corrected is not None
        assert p <= corrected <= min(1.0, p * len(tested)) + 1e-12


def test_what_is_not_tested() -> None:
    """A small level is shown untested, of two levels one is tested, and a report that tells none is in no group."""
    sexes = ["F"] * 60 + ["M"] * 40 + [""] * 20
    modalities = ["CT"] * 80 + ["MR"] * 21 + ["US"] * (LEAST - 1)
    rows = find_differences(draw_table(np.linspace(0, 1, 120)), make_groups(sex=sexes, modality=modalities))
    tested = {(row.group, row.level): row.comparison is not None for row in rows}

    assert [level for (_, level), is_tested in tested.items() if is_tested] == ["CT", "MR", "F"]
    assert [level for (_, level), is_tested in tested.items() if not is_tested] == ["US", "M"]
    assert sum(row.reports for row in rows if row.group == "sex") == 100


def test_nothing_to_tell_apart() -> None:
    """A group of one level is left out."""
    assert find_differences(draw_table(np.zeros(50)), make_groups(sex=["F"] * 50)) == ()


def test_same_seed() -> None:
    """Equal seeds find the same."""
    groups, table = make_groups(sex=["F", "M"] * 40), draw_table(np.linspace(0, 1, 80) ** 2)
    found: list[tuple[SubgroupRow, ...]] = [find_differences(table, groups, seed=3) for _ in range(2)]

    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("age", "band"),
    [(None, ""), (0, "0-17"), (17, "0-17"), (18, "18-39"), (64, "40-64"), (79, "65-79"), (80, "80+"), (104, "80+")],
)
def test_age_bands(age: int | None, band: str) -> None:
    """An age is of the band that it lies in; an unknown one of none."""
    assert tell_age_band(age) == band
    assert GROUPS["age_band"](Reference(id="1", findings="Clear.", impression="Normal.", age=age)) == band
