"""The guard on drafts that somebody wrote who hadn't read it: what it finds by kind, and what it says of true drafts.

    .venv/bin/python -m tests.bench.guard_cases [--misses] [--alarms]

The cases are `data/guard_cases.toml`, written by hand: a true draft, or one with a single dangerous error. A flag
`critical` is no error, so it counts neither as found nor as an alarm. The figures go to `var/bench/guard_cases.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from radbridge.draft import Flag, FlagKind
from radbridge.guard import check_draft
from radbridge.guard.policy import GuardPolicy
from tests.bench.guard.measure import Rate
from tests.bench.serving_report import JSON_FOLDER

CASES = Path(__file__).parent / "data" / "guard_cases.toml"
TOLD = ("indication", "comparison", "sex", "age")
"""What the guard is told beside the findings, where a case has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A draft of its findings, the kind of its one error (empty: it is true), and every kind that is right to say."""

    findings: str
    draft: str
    wrong: str
    right: frozenset[str]
    told: Mapping[str, Any]
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A case with the guard's flags, without those that are no error."""

    case: Case
    flags: tuple[Flag, ...]

    @property
    def named(self) -> bool:
        """The error was found, and called by a right name."""
        return any(flag.kind in self.case.right for flag in self.flags)

    @property
    def blocked(self) -> bool:
        """The draft would be kept back by the default policy."""
        return bool(GuardPolicy().judge(self.flags).blocking)


def read_cases() -> list[Case]:
    """All of them, in the file's order."""
    return [_read_case(row) for row in tomllib.loads(CASES.read_text(encoding="utf-8"))["case"]]


def _read_case(row: Mapping[str, Any]) -> Case:
    return Case(
        findings=row["findings"],
        draft=row["draft"],
        wrong=row["wrong"],
        right=frozenset((row["wrong"], *row.get("also", ()))) - {""},
        told={name: row[name] for name in TOLD if name in row},
        note=row["note"],
    )


def check(case: Case) -> Checked:
    """What the guard says of one case."""
    flags = check_draft(case.draft, case.findings, **case.told)
    return Checked(case=case, flags=tuple(flag for flag in flags if flag.kind != FlagKind.CRITICAL))


def tally(checked: Sequence[Checked]) -> list[tuple[str, Rate, Rate, Rate]]:
    """By kind and for all that are wrong, then for the true: named rightly, any flag, blocked."""
    groups: dict[str, list[Checked]] = {}
    for c in checked:
        groups.setdefault(c.case.wrong or "true", []).append(c)
    true = groups.pop("true", [])
    rows = groups | {"all errors": [c for them in groups.values() for c in them], "true drafts": true}
    return [(name, *_rate(them)) for name, them in rows.items()]


def _rate(them: Sequence[Checked]) -> tuple[Rate, Rate, Rate]:
    hits = (sum(c.named for c in them), sum(bool(c.flags) for c in them), sum(c.blocked for c in them))
    named, flagged, blocked = (Rate(hits=count, total=len(them)) for count in hits)
    return named, flagged, blocked


def show(rows: Iterable[tuple[str, Rate, Rate, Rate]]) -> None:
    """The table."""
    table = Table("drafts", "found, right kind", "any flag", "blocked")
    for name, named, flagged, blocked in rows:
        table.add_row(name, "–" if name == "true drafts" else str(named), str(flagged), str(blocked))
    _OUT.print(table)


def list_cases(title: str, checked: Iterable[Checked]) -> None:
    """Each with its findings, its draft and what the guard said."""
    _OUT.rule(title)
    for c in checked:
        said = ", ".join(f"{f.severity} {f.kind} “{f.message}”" for f in c.flags) or "nothing"
        head = f"{c.case.wrong or 'true'}: {c.case.note}"
        told = " ".join(f"{name}={value}" for name, value in c.case.told.items())
        for line in (
            head,
            f"  {told}",
            f"  findings: {c.case.findings}",
            f"  draft: {c.case.draft}",
            f"  said: {said}",
        ):
            _OUT.print(line, markup=False, highlight=False)


def as_json(rows: Iterable[tuple[str, Rate, Rate, Rate]]) -> list[dict[str, Any]]:
    """The counts; nothing is named where there is no error."""
    return [
        {"drafts": name, "cases": named.total, "named": named.hits, "flagged": flagged.hits, "blocked": blocked.hits}
        for name, named, flagged, blocked in rows
    ]


def main() -> None:
    """Read the arguments, check every case, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--misses", action="store_true", help="list the errors that aren't found by a right name")
    parser.add_argument("--alarms", action="store_true", help="list the true drafts that are flagged")
    options = parser.parse_args()
    checked = [check(case) for case in read_cases()]
    if options.misses:
        list_cases("misses", (c for c in checked if c.case.wrong and not c.named))
    if options.alarms:
        list_cases("alarms", (c for c in checked if not c.case.wrong and c.flags))
    rows = tally(checked)
    show(rows)
    JSON_FOLDER.mkdir(parents=True, exist_ok=True)
    (JSON_FOLDER / "guard_cases.json").write_text(json.dumps(as_json(rows), indent=1) + "\n", encoding="utf-8")


_OUT = Console(file=sys.stdout, width=120, soft_wrap=True)

if __name__ == "__main__":
    main()
