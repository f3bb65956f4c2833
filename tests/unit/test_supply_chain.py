"""What a hospital installs: exact, with hashes, within what pyproject.toml allows, and looked at for weaknesses."""

from __future__ import annotations

import re
import stat
import tomllib
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.audit_dependencies import ACCEPTED, Weakness, audit, judge, read_report

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "deploy" / "lock"
EXTRAS = {
    "gateway": ("postgres", "otel", "dicomweb"),
    "serve": ("postgres", "otel", "dicomweb", "serve"),
    "train": ("postgres", "train"),
    "dev": ("dev", "serve", "train", "dicomweb"),
}
"""What each lock file is of, besides what a gateway can't be without."""
LINE = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?==(?P<version>[^\s;]+)(\s*;[^\\]+)?((?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})+)\n"
)


@cache
def locked(name: str) -> dict[str, set[str]]:
    """The packages of a lock file and their versions: more than one where they differ by machine."""
    text = re.sub(r"^#.*\n", "", (LOCKS / f"{name}.txt").read_text(), flags=re.MULTILINE)
    found: dict[str, set[str]] = {}
    for match in LINE.finditer(text):
        found.setdefault(canonicalize_name(match["name"]), set()).add(match["version"])
    assert LINE.sub("", text).strip() == "", "a line that is no exact version with its hashes"
    return found


@cache
def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def wanted(extra: str) -> list[Requirement]:
    """An extra's requirements, those of the extras that it names too."""
    found: list[Requirement] = []
    for requirement in map(Requirement, project()["optional-dependencies"][extra]):
        if requirement.name == "radbridge":
            found += [r for name in sorted(requirement.extras) for r in wanted(name)]
        else:
            found.append(requirement)
    return found


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_is_what_the_project_asks_for(name: str) -> None:
    """Every dependency stands in it, exactly and within its bounds. Otherwise: `make lock`."""
    asked = [*map(Requirement, project()["dependencies"]), *(r for extra in EXTRAS[name] for r in wanted(extra))]
    versions = locked(name)
    missing = [r.name for r in asked if canonicalize_name(r.name) not in versions]
    assert missing == []
    beyond = {
        str(r): versions[canonicalize_name(r.name)]
        for r in asked
        if not all(r.specifier.contains(v, prereleases=True) for v in versions[canonicalize_name(r.name)])
    }
    assert beyond == {}


@pytest.mark.parametrize("name", [name for name in EXTRAS if name != "gateway"])
def test_a_gateway_is_the_same_everywhere(name: str) -> None:
    """What a gateway installs has the same version in every lock: what is tested is what runs."""
    other = locked(name)
    assert {p: (v, other[p]) for p, v in locked("gateway").items() if p in other and v != other[p]} == {}


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_names_no_place(name: str) -> None:
    """Where packages come from is the installer's business; which bytes they are isn't."""
    assert "://" not in (LOCKS / f"{name}.txt").read_text()


REPORT = {
    "dependencies": [
        {"name": "here", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": []}]},
        {"name": "well", "version": "2.0", "vulns": []},
        {"name": "unknown", "skip_reason": "not found"},
    ]
}


def test_weaknesses_are_read() -> None:
    """pip-audit's report gives each weakness and how many packages were looked up at all."""
    found, answered = read_report(REPORT)
    assert found == [Weakness(package="here", version="1.0", id="PYSEC-1", fixed_in=("1.1",))]
    assert answered == 2
    assert str(found[0]) == "here 1.0: PYSEC-1, fixed in 1.1"


def test_a_weakness_is_accepted_for_a_time() -> None:
    """An accepted one counts again on the day after its last, and one of another package always did."""
    found, _ = read_report(REPORT)
    accepted = [{"id": "PYSEC-1", "package": "here", "reason": "r", "until": date(2026, 12, 1)}]
    assert judge(found, accepted, date(2026, 12, 1)) == []
    assert judge(found, accepted, date(2026, 12, 2)) == found
    assert judge(found, [accepted[0] | {"package": "there"}], date(2026, 12, 1)) == found


def test_every_accepted_weakness_has_its_reason() -> None:
    """deploy/lock/accepted.toml says why, and until when."""
    for each in tomllib.loads(ACCEPTED.read_text()).get("accepted", []):
        assert each.keys() == {"id", "package", "reason", "until"}
        assert each["reason"].strip()
        assert isinstance(each["until"], date)


@pytest.mark.parametrize("said", ["", "no index", '{"dependencies": []}'])
def test_an_index_that_doesnt_answer_is_no_finding(tmp_path: Path, said: str) -> None:
    """Without a report there is nothing to judge: a gateway is built inside hospitals too."""
    tool = tmp_path / "pip-audit"
    tool.write_text(f"#!/bin/sh\necho '{said}'\nexit 1\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    report = audit(tool, tmp_path / "lock.txt")
    assert (read_report(report) if report else ([], 0)) == ([], 0)
    assert audit(tmp_path / "absent", tmp_path / "lock.txt") is None
