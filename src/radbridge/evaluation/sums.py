"""Numbers instead of texts: what the measures count of each pair, and which group each report is of."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from radbridge.errors import RadBridgeError
from radbridge.evaluation.groups import GROUPS
from radbridge.evaluation.measure import BATCH, Figure, Measure
from radbridge.evaluation.normal import is_normal
from radbridge.evaluation.rows import Pair, Reference

Rows = NDArray[np.generic]
Numbers: TypeAlias = "array[float]"
_UnderWay: TypeAlias = tuple[Future[list[tuple[str, list[Numbers]]]], list[list[Numbers]]]
_UNDER_WAY = 16
"""Batches that wait for a process or for their turn."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Table:
    """One system's rows by measure: a row for each report, in the order of the references."""

    measures: tuple[Measure, ...]
    columns: Mapping[str, Rows]

    def figures(self) -> Iterator[tuple[Figure, Rows]]:
        """Every figure with the rows that it is estimated from."""
        for measure in self.measures:
            yield from ((figure, self.columns[measure.name]) for figure in measure.figures)

    def figure(self, name: str) -> tuple[Figure, Rows]:
        """One figure by its name. Raises KeyError."""
        for figure, rows in self.figures():
            if figure.name == name:
                return figure, rows
        raise KeyError(name)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Groups:
    """Which group each report is of, and whether it tells anything abnormal."""

    codes: Mapping[str, NDArray[np.int32]]
    """By group: the level of each report as a place in `levels`; -1 where it isn't told."""
    levels: Mapping[str, Sequence[str]]
    abnormal: NDArray[np.bool_]


def tabulate(pairs: Iterable[Pair], measures: Sequence[Measure]) -> Table:
    """The rows of every pair of one system; the texts pass."""
    return tabulate_all({"": pairs}, measures)[""]


def tabulate_all(
    systems: Mapping[str, Iterable[Pair]],
    measures: Sequence[Measure],
    *,
    own: Sequence[Measure] = (),
    pool: Executor | None = None,
) -> dict[str, Table]:
    """The rows of every system's pairs. Systems of the same reports go side by side: what is read of a report is kept.

    With a `pool` its processes count, and few batches are under way. `own` measures stay in this process: they may
    hold a model.
    """
    every = (*measures, *own)
    found = {name: {measure.name: _begin(measure) for measure in every} for name in systems}
    for name, counted in _count_batches(systems, measures, own, pool):
        for measure, numbers in zip(every, counted, strict=True):
            found[name][measure.name].extend(numbers)
    return {
        name: Table(measures=every, columns={m.name: _shape(columns[m.name], m) for m in every})
        for name, columns in found.items()
    }


def _count_batches(
    systems: Mapping[str, Iterable[Pair]], measures: Sequence[Measure], own: Sequence[Measure], pool: Executor | None
) -> Iterator[tuple[str, list[Numbers]]]:
    under_way: deque[_UnderWay] = deque()
    for batches in zip_longest(*map(cut, systems.values()), fillvalue=()):
        told = [(name, batch) for name, batch in zip(systems, batches, strict=True) if batch]
        if pool is None:
            yield from ((name, count(measures, batch) + count(own, batch)) for name, batch in told)
            continue
        under_way.append((pool.submit(_count_each, measures, told), [count(own, batch) for _, batch in told]))
        if len(under_way) > _UNDER_WAY:
            yield from _take_first(under_way)
    while under_way:
        yield from _take_first(under_way)


def _count_each(
    measures: Sequence[Measure], told: Sequence[tuple[str, Sequence[Pair]]]
) -> list[tuple[str, list[Numbers]]]:
    return [(name, count(measures, batch)) for name, batch in told]


def _take_first(under_way: deque[_UnderWay]) -> Iterator[tuple[str, list[Numbers]]]:
    future, own = under_way.popleft()
    for (name, counted), more in zip(future.result(), own, strict=True):
        yield name, counted + more


def count(measures: Sequence[Measure], batch: Sequence[Pair]) -> list[Numbers]:
    """What each measure counts of a batch. Raises RadBridgeError for one that doesn't give what it promises."""
    return [_count(measure, batch) for measure in measures]


def _begin(measure: Measure) -> Numbers:
    return cast("Numbers", array(measure.typecode))


def _count(measure: Measure, batch: Sequence[Pair]) -> Numbers:
    numbers = _begin(measure)
    for row in measure.rows(batch):
        numbers.extend(row)
    if len(numbers) != measure.width * len(batch):
        raise RadBridgeError(f"the measure {measure.name} gave {len(numbers)} numbers for {len(batch)} reports")
    return numbers


def group(references: Iterable[Reference]) -> Groups:
    """The groups of the reports."""
    codes = {name: array("i") for name in GROUPS}
    levels: dict[str, dict[str, int]] = {name: {} for name in GROUPS}
    abnormal = bytearray()
    for reference in references:
        for name, tell in GROUPS.items():
            level = tell(reference)
            codes[name].append(levels[name].setdefault(level, len(levels[name])) if level else -1)
        told = reference.abnormal
        abnormal.append(not is_normal(reference.impression) if told is None else told)
    return Groups(
        codes={name: np.frombuffer(found, dtype=np.int32) for name, found in codes.items()},
        levels={name: tuple(found) for name, found in levels.items()},
        abnormal=np.frombuffer(abnormal, dtype=np.bool_),
    )


def cut(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """`pairs` in batches."""
    rest = iter(pairs)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _shape(numbers: Numbers, measure: Measure) -> Rows:
    kind = np.uint8 if measure.typecode == "B" else np.float32
    return np.frombuffer(numbers, dtype=kind).reshape(-1, measure.width)
