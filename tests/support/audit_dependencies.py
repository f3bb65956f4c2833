"""The last line of `make check`: the known weaknesses of locked packages.

pip-audit asks the package index. Where that doesn't answer, or pip-audit isn't there, nothing is checked: that is said
and is no failure, since a gateway is built inside hospitals too. A finding fails, unless deploy/lock/accepted.toml
accepts it for a time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TOOL = ROOT / ".venv" / "tools" / "bin" / "pip-audit"
LOCK = ROOT / "deploy" / "lock" / "gateway.txt"
ACCEPTED = ROOT / "deploy" / "lock" / "accepted.toml"
AT_MOST_S = 60
"""For all packages; 10 s for one answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weakness:
    """A known fault of a package."""

    package: str
    version: str
    id: str
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no version without it"
        return f"{self.package} {self.version}: {self.id}, {fixed}"


def read_report(report: dict[str, Any]) -> tuple[list[Weakness], int]:
    """What pip-audit's JSON says: the weaknesses, and how many packages it got an answer about."""
    answered = [package for package in report["dependencies"] if "skip_reason" not in package]
    found = [
        Weakness(package=p["name"], version=p["version"], id=v["id"], fixed_in=tuple(v["fix_versions"]))
        for p in answered
        for v in p["vulns"]
    ]
    return found, len(answered)


def judge(found: Sequence[Weakness], accepted: Sequence[dict[str, Any]], today: date) -> list[Weakness]:
    """Those that nobody accepted, or for a time that is over."""
    standing = {(a["package"], a["id"]) for a in accepted if a["until"] >= today}
    return [w for w in found if (w.package, w.id) not in standing]


def audit(tool: Path = TOOL, lock: Path = LOCK) -> dict[str, Any] | None:
    """pip-audit's report; None where it can't be had."""
    command = [str(tool), "-r", str(lock), "--require-hashes", "--disable-pip", "-f", "json", "--timeout", "10"]
    try:
        ran = subprocess.run(
            [*command, "--progress-spinner", "off"], capture_output=True, text=True, timeout=AT_MOST_S, check=False
        )
        report: dict[str, Any] = json.loads(ran.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return report


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Say what was found; 1 when something has to be done."""
    report = audit()
    found, answered = read_report(report) if report else ([], 0)
    if not answered:
        say("known weaknesses: not checked: the index doesn't answer")
        return 0
    accepted = tomllib.loads(ACCEPTED.read_text()).get("accepted", [])
    left = judge(found, accepted, datetime.now(UTC).date())
    for weakness in left:
        say(str(weakness))
    asked = len(report["dependencies"]) if report else 0
    say(f"known weaknesses: {len(left)} in {answered} of {asked} packages")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
