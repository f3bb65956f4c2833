"""Promises about the tree itself."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from radbridge import __version__
from radbridge.logs import FREE, REFERENCES

ROOT = Path(__file__).parents[2]
LONGEST = 400
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
TEXT = {".py", ".toml", ".md", ".yaml", ".yml", ".cfg", ".ini", ".service", ".j2", ".html", ".sh", ".json", ""}
# Paths of one machine, and hosts that serve packages or models: a clone must work wherever it is put.
FOREIGN = re.compile(
    r"(?<![\w.$}/~-])/(?:home|root|Users|work|workspace|mnt)/[\w.-]"
    r"|\b(?:index|extra-index)-url\b|\bfind-links\b|pypi\.|files\.pythonhosted|huggingface\.co/|download\.pytorch",
)


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the project: what is built or cached stands in hidden folders or in those named here."""
    found: list[Path] = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in {"__pycache__", "dist", "var", "shared"} and not f.startswith(".")]
        found += (Path(folder, f) for f in files)
    return tuple(found)


def test_no_python_file_is_long() -> None:
    """One noun a file: no Python file has more than 400 lines."""
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in tracked() if p.suffix == ".py"}
    assert lengths
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}


def test_every_recipe_begins_with_its_command() -> None:
    """A recipe's first line is the command that runs it."""
    begins = re.compile(r"# (?:Run: )?\S*(?:radbridge|make|python|serve)")
    recipes = [p for p in tracked() if p.suffix in {".yaml", ".yml"} and "recipes" in p.parts]
    assert [p.name for p in recipes if not begins.match(p.read_text())] == []


def test_the_version_is_in_the_changelog() -> None:
    """The version that the package says is a heading of CHANGELOG.md."""
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_no_file_names_a_machine_or_a_registry() -> None:
    """A clone works anywhere: no absolute path of a machine, no package host."""
    here = Path(__file__)
    texts = {
        p: p.read_text(errors="ignore") for p in tracked() if p.suffix in TEXT and p != here and p.name != "LICENSE"
    }
    found = {str(p.relative_to(ROOT)): m.group() for p, text in texts.items() if (m := FOREIGN.search(text))}
    assert found == {}


@pytest.mark.parametrize("room", ["model_server", "training"])
def test_weights_are_never_called_adapters(room: str) -> None:
    """In the rooms that handle weights, "adapter" stands only in names of PEFT's own."""
    own = re.compile(
        r"adapter_(?:names?|config|model|weights)|adapters?_(?:to|dir)|\w+_adapters?\b|adapter\.|Adapter\(|TypeAdapter"
    )
    found = {
        f"{p.relative_to(ROOT)}:{n}": line.strip()
        for p in tracked()
        if p.suffix == ".py" and p.is_relative_to(ROOT / room)
        for n, line in enumerate(p.read_text().splitlines(), 1)
        if re.search(r"\badapters?\b", own.sub("", line), re.IGNORECASE)
    }
    assert found == {}


def test_every_dependency_has_its_reason() -> None:
    """docs/decisions/0002-dependencies.md has a row for each dependency in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[\[<>=;]", requirement)[0] for requirement in wanted} - {"radbridge"}
    reasons = (ROOT / "docs/decisions/0002-dependencies.md").read_text()
    assert len(names) > 20
    assert {name for name in names if f"| {name} " not in reasons} == set()


def test_every_log_key_is_shown() -> None:
    """No log call uses a key that the redactor would hide: at night a reason that reads `[redacted]` is none."""
    shown = FREE | REFERENCES | {"exc_info"}
    hidden = [
        f"{path.relative_to(ROOT)}:{call.lineno} {key.arg}"
        for room in ("src", "adapters", "model_server", "training")
        for path in (ROOT / room).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and (call.func.value.id, call.func.attr) in {("log", level) for level in LEVELS}
        for key in call.keywords
        if key.arg not in shown
    ]
    assert hidden == []
