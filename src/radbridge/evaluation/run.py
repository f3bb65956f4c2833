"""An evaluation from files to its value: reads, counts, resamples, compares."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from radbridge import __version__
from radbridge.errors import ConfigError, RadBridgeError
from radbridge.evaluation.baselines import BASELINES, Baselines, pair_baseline
from radbridge.evaluation.cost import Cost, read_cost
from radbridge.evaluation.datatables import DataCounter, DataRow
from radbridge.evaluation.figures import estimate_figures, estimate_labels
from radbridge.evaluation.measures import core_measures, load_measures
from radbridge.evaluation.report import Evaluation, FigureNote, FileNote, Settings, SystemNote, TimeNote
from radbridge.evaluation.resample import DRAWS, LEVEL, choose_draws
from radbridge.evaluation.rows import REFERENCE, Draft, Matched, Pair, Reference, Rows
from radbridge.evaluation.subgroups import find_differences
from radbridge.evaluation.sums import Groups, Table, group, tabulate_all
from radbridge.evaluation.verdicts import compare_systems, tell_verdicts
from radbridge.jsonl import Faults

FEW = 512
"""Fewer reports are counted sooner than a second process has started."""

Advance = Callable[[int], None]
"""Told how many more pairs were read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be evaluated."""

    drafts: Mapping[str, Path]
    """By the system's name; the first is the one that the others are compared with."""
    references: Path
    train: Path | None = None
    """Signed reports for the retrieval baselines; None: no baselines."""
    weights: Mapping[str, Path] = field(default_factory=dict)
    """Further measures, each with the folder of its model."""
    costs: Mapping[str, Path] = field(default_factory=dict)
    """By system: what `radbridge draft --cost` wrote."""
    skip_bad: bool = False
    seed: int = 0
    draws: int = DRAWS
    jobs: int = 1
    """Processes that count."""


@dataclass(slots=True)
class Tally:
    """What is told of drafts beside their texts."""

    failed: int = 0
    fallbacks: int = 0
    with_examples: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    ms: array[float] = field(default_factory=lambda: array("f"))

    def watch(self, pairs: Iterable[Pair], advance: Advance) -> Iterator[Pair]:
        """`pairs`, noted as they pass."""
        for pair in pairs:
            draft = pair.draft
            self.failed += bool(draft.error)
            self.fallbacks += bool(draft.fallback)
            self.with_examples += bool(draft.examples)
            self.stages.update([draft.stage] if draft.stage else [])
            self.ms.extend([] if draft.ms is None else [draft.ms])
            yield pair
            advance(1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Counted:
    """What the measures counted, and what was noted beside them."""

    tables: Mapping[str, Table]
    tallies: Mapping[str, Tally]
    groups: Groups
    data: tuple[DataRow, ...]


class Evaluator:
    """One evaluation. What is wrong with the plan or the files is told before anything is counted."""

    def __init__(self, plan: Plan) -> None:
        """Reads every file once. Raises ConfigError with what is wrong with them."""
        self._plan = plan
        self._faults = Faults(skip=plan.skip_bad)
        self._costs = _read_costs(plan)
        self._own = load_measures(plan.weights)
        self._train = Rows(plan.train, REFERENCE, faults=self._faults) if plan.train else None
        self._matched = Matched(plan.references, plan.drafts, faults=self._faults)
        if not len(self._matched):
            raise ConfigError([f"{plan.references}: no report that every system has a draft for"])
        if self._train is not None and not len(self._train):
            raise ConfigError([f"{plan.train}: no report to retrieve from"])
        if clash := set(plan.drafts) & set(BASELINES) if plan.train else None:
            raise ConfigError([f"--drafts {name}=...: a baseline has this name; choose another" for name in clash])

    @property
    def total(self) -> int:
        """Pairs that will be read."""
        return len(self._matched) * (len(self._plan.drafts) + (len(BASELINES) if self._train else 0))

    @property
    def faults(self) -> Faults:
        """The rows that are left out."""
        return self._faults

    def run(self, advance: Advance) -> Evaluation:
        """Count and conclude."""
        return self.conclude(self.count(advance))

    def count(self, advance: Advance) -> Counted:
        """What is counted of every pair. Raises RadBridgeError when a process is lost."""
        plan, counter = self._plan, DataCounter()
        groups = group(_count_data(self._matched.read_references(), counter))
        with _open_pool(plan.jobs, self.total) as pool:
            pairs = {name: self._matched.pairs(name) for name in plan.drafts} | dict(self._pair_baselines())
            tallies = {name: Tally() for name in pairs}
            watched = {name: tallies[name].watch(told, advance) for name, told in pairs.items()}
            tables = tabulate_all(watched, core_measures(), own=self._own, pool=pool)
        return Counted(tables=tables, tallies=tallies, groups=groups, data=counter.close())

    def conclude(self, counted: Counted) -> Evaluation:
        """Figures, their intervals and the comparisons of what was counted."""
        plan, tables, groups = self._plan, counted.tables, counted.groups
        notes = [self._note(name, table, counted.tallies[name], groups) for name, table in tables.items()]
        told = {name: tables[name] for name in plan.drafts}
        copied = {name: table for name, table in tables.items() if name not in plan.drafts}
        comparisons = compare_systems(told, copied, groups, seed=plan.seed)
        return Evaluation(
            settings=Settings(
                seed=plan.seed,
                draws=plan.draws,
                test_draws=choose_draws(len(self._matched)),
                level=LEVEL,
                radbridge=__version__,
            ),
            references=_note_file(self._matched.references),
            train=_note_file(self._train) if self._train else None,
            reports=len(self._matched),
            abnormal=int(groups.abnormal.sum()),
            skipped=self._faults.count,
            figures=_name_figures(next(iter(told.values()))),
            systems=tuple(notes),
            comparisons=comparisons,
            verdicts=tell_verdicts(told, copied, groups, comparisons),
            data=counted.data,
        )

    def _pair_baselines(self) -> Iterator[tuple[str, Iterator[Pair]]]:
        if self._train is None:
            return
        baselines = Baselines(row for _, row in self._train.read(np.arange(len(self._train))))
        for name in BASELINES:
            yield name, pair_baseline(name, baselines, self._matched.read_references())

    def _note(self, name: str, table: Table, tally: Tally, groups: Groups) -> SystemNote:
        plan = self._plan
        is_system = name in plan.drafts
        times = sorted(tally.ms)
        return SystemNote(
            name=name,
            kind="system" if is_system else "baseline",
            file=_note_file(self._matched.systems[name]) if is_system else None,
            failed=tally.failed,
            figures=estimate_figures(table, draws=plan.draws, seed=plan.seed),
            abnormal=estimate_figures(table, draws=plan.draws, seed=plan.seed, within=groups.abnormal),
            labels=estimate_labels(table, draws=plan.draws, seed=plan.seed),
            subgroups=find_differences(table, groups, seed=plan.seed) if is_system else (),
            stages=dict(tally.stages.most_common()) if is_system else {},
            fallbacks=tally.fallbacks,
            with_examples=tally.with_examples,
            ms=_tell_times(times) if times else None,
            cost=self._costs.get(name),
        )


def _read_costs(plan: Plan) -> dict[str, Cost]:
    strangers = [f"--cost {name}=...: no --drafts has this name" for name in plan.costs if name not in plan.drafts]
    if strangers:
        raise ConfigError(strangers)
    return {name: read_cost(file) for name, file in plan.costs.items()}


def _count_data(references: Iterable[Reference], counter: DataCounter) -> Iterator[Reference]:
    for reference in references:
        counter.add(reference)
        yield reference


@contextmanager
def _open_pool(jobs: int, pairs: int) -> Iterator[Executor | None]:
    """Processes that count; None where one is enough."""
    if jobs == 1 or pairs < FEW:
        yield None
        return
    pool = ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn"))
    try:
        yield pool
    except BrokenProcessPool:
        raise RadBridgeError("a counting process ended, often for want of memory; try fewer --jobs") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _name_figures(table: Table) -> tuple[FigureNote, ...]:
    return tuple(
        FigureNote(name=f.name, title=f.title, better=f.better, unit=f.unit, part=f.part) for f, _ in table.figures()
    )


def _note_file(rows: Rows[Reference] | Rows[Draft]) -> FileNote:
    return FileNote(name=rows.file.name, sha256=rows.sha256, rows=len(rows))


def _tell_times(times: list[float]) -> TimeNote:
    return TimeNote(
        p50=times[len(times) // 2], p95=times[min(len(times) - 1, len(times) * 95 // 100)], longest=times[-1]
    )
