"""Makes exactly one labelled error of a kind in a true impression. Shares no code and no word list with the guard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from random import Random

from tests.bench.guard.additions import add_critical, contradict_sex_or_age, identify, invent, leave_unsaid
from tests.bench.guard.assertions import harden, leave_out, turn_comparison, turn_negation
from tests.bench.guard.change import Change, Injection
from tests.bench.guard.measurements import alter_sizes
from tests.bench.guard.reports import Report
from tests.bench.guard.swaps import swap_counts, swap_devices, swap_sides, swap_sites

Injector = Callable[[Report, Random], Iterator[Change]]

INJECTORS: Mapping[str, Injector] = {
    "laterality": swap_sides,
    "negation": turn_negation,
    "certainty": harden,
    "measurement": alter_sizes,
    "sex_or_age": contradict_sex_or_age,
    "unsupported": invent,
    "omitted": lambda report, rng: chain(leave_out(report, rng), leave_unsaid(report, rng)),
    "comparison": turn_comparison,
    "site": swap_sites,
    "count": swap_counts,
    "device": swap_devices,
    "critical": add_critical,
    "identifier": identify,
}
"""By the kind of flag that the error should raise."""
KINDS = tuple(INJECTORS)
_ONE_SUB = frozenset(("laterality", "unsupported"))
_TRIES = 6
"""So often a report is asked for another error than it gave before."""


def inject(kind: str, report: Report, rng: Random, *, avoid: Counter[str] | None = None) -> Injection | None:
    """One error of `kind`, of the sub-kind least often in `avoid`; None where the report has no place for one."""
    made = avoid or Counter()
    found: dict[str, list[Change]] = {}
    for change in INJECTORS[kind](report, rng):
        found.setdefault(change.sub, []).append(change)
    if not found:
        return None
    fewest = min(made[sub] for sub in found)
    sub = rng.choice(sorted(sub for sub in found if made[sub] == fewest))
    return rng.choice(found[sub]).apply(kind, report)


def inject_all(kind: str, reports: Sequence[Report], *, count: int, seed: int) -> list[Injection]:
    """Up to `count` different errors of `kind`: one from each report, then a second one, until there are no more.

    Where there are several sub-kinds none has more than half of `count`: adding is always possible, swapping isn't.
    """
    made: dict[Report, Injection] = {}
    subs: Counter[str] = Counter()
    for turn in range(_TRIES):
        for report in shuffled(reports, seed):
            if len(made) >= count:
                return list(made.values())
            injection = inject(kind, report, Random(f"{seed} {turn} {kind} {report.id}"), avoid=subs)
            if injection is None or injection.report in made:
                continue
            if kind not in _ONE_SUB and subs[injection.sub] >= count // 2:
                continue
            made[injection.report] = injection
            subs[injection.sub] += 1
    return list(made.values())


def shuffled(reports: Sequence[Report], seed: int) -> list[Report]:
    """The reports in an order that depends on the seed alone."""
    return Random(seed).sample(reports, len(reports))
